"""Each user's limits: requests in a time, and chats at once. Counted in Redis if there is one, else in this process."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import floor
from secrets import token_hex
from threading import Lock, Thread
from time import monotonic, sleep
from weakref import WeakMethod

from limits import RateLimitItem, parse_many

from ..config import SettingError, Settings
from ..failure import Code, Failure
from .line import pool
from .shared import Shared
from .slots import Lease, Slots
from .window import Window

LEASE_SECONDS = 30
"""How long Redis keeps the slot of a process that was killed. One that runs renews its slots three times in it."""
PAUSE_SECONDS = 3
"""How long Redis is left alone after it failed, and after each look whether it is back."""

_FULL_SECONDS = 5
"""After how long one whose slots are taken may ask again: nobody knows when a chat ends."""
_MAX_AMOUNT, _MAX_SECONDS = 1_000_000, 366 * 24 * 60 * 60


class Limiter:
    """What each user may still do.

    What this process knows is always counted here, and is enough to refuse. Redis, asked for what is left, knows of all
    processes. While it does not answer, this process counts alone, and its chats go on.
    """

    def __init__(
        self, settings: Settings, *, lease_seconds: float = LEASE_SECONDS, pause_seconds: float = PAUSE_SECONDS
    ) -> None:
        """Take the limits, and where they are shared; nothing is connected yet. Raises `SettingError`."""
        self._rate = _rate(settings.rate_limit)
        self._most = settings.max_streams_per_user
        self._url, self._verify = settings.redis_url, settings.redis_tls_verify == "yes"
        self._lease_seconds, self._pause_seconds = lease_seconds, pause_seconds
        self._begin()
        begin_again = WeakMethod(self._begin)
        os.register_at_fork(after_in_child=lambda: (begin := begin_again()) and begin())

    @property
    def shared(self) -> bool:
        """Whether Redis counts. Asks it, unless it failed just now."""
        return self._redis is not None and self._redis.works()

    @property
    def fallbacks(self) -> int:
        """How often this process began to count alone because Redis failed."""
        return self._redis.fallbacks if self._redis else 0

    def hit(self, user: str) -> None:
        """Count a request of a user's. Raises `Failure` 429 when there were too many; that one is not counted."""
        key, now, redis = _key(user), monotonic(), self._redis
        seconds = self._window.wait(key, now) or (redis and redis.hit(key)) or self._window.take(key, now)
        if seconds:
            whole = floor(seconds) + 1
            message = f"You have asked too often. Please try again in {whole} second{'s' * (whole > 1)}."
            raise Failure(Code.RATE_LIMITED, message, {"Retry-After": str(whole)})

    @contextmanager
    def slot(self, user: str) -> Iterator[None]:
        """Hold one of a user's slots. Raises `Failure` 429 when all are taken."""
        lease, slots, redis = Lease(_key(user), token_hex(8)), self._slots, self._redis
        if not slots.take(lease):
            raise self._refusal()
        try:
            if redis:
                self._start_keeper()
                if redis.acquire(lease, self._most) == 0:
                    raise self._refusal()
            yield
        finally:
            slots.give_back(lease)
            if redis:
                redis.release(lease)

    def _begin(self) -> None:
        """Begin with nothing. After a fork, too: chats, connection and locks are the parent's."""
        self._window = Window(self._rate.amount, self._rate.get_expiry())
        self._slots = Slots(self._most)
        lease, pause = self._lease_seconds, self._pause_seconds
        self._redis = (
            Shared(pool(self._url, verify=self._verify), self._rate, self._slots, lease, pause) if self._url else None
        )
        self._lock = Lock()
        self._is_kept = False

    def _refusal(self) -> Failure:
        message = f"Only {self._most} of your chats may run at once. Please wait until one has ended."
        return Failure(Code.RATE_LIMITED, message, {"Retry-After": str(_FULL_SECONDS)})

    def _start_keeper(self) -> None:
        with self._lock:
            is_kept, self._is_kept = self._is_kept, True
        try:
            if not is_kept:
                Thread(target=self._keep, daemon=True).start()
        except RuntimeError:  # No thread is to be had; the next chat tries again.
            self._is_kept = False

    def _keep(self) -> None:
        """Renew the leases of what runs, until nothing does."""
        while self._redis:
            sleep(self._lease_seconds / 3)
            with self._lock:
                self._is_kept = is_needed = bool(self._slots.held())
            if not is_needed:
                break
            self._redis.renew()


def _rate(text: str) -> RateLimitItem:
    """Read how many requests there may be in which time, as the `limits` library writes it. Raises `SettingError`."""
    with suppress(ValueError):
        (rate,) = parse_many(text)
        if 0 < rate.amount <= _MAX_AMOUNT and rate.get_expiry() <= _MAX_SECONDS:
            return rate
    raise SettingError(f"RATE_LIMIT must be a number of requests in a time, like 60/minute, not {text!r}.")


def _key(user: str) -> str:
    """Return what a user is counted under: of the same form for every id, and telling it to nobody."""
    return hashlib.sha256(user.encode("utf-8", "surrogatepass")).hexdigest()
