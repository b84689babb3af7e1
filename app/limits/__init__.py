"""What one user may do: so many requests in a time, and so many chats at once.

Every process counts for itself (`local`). With `REDIS_URL`, all processes count together in Redis, too (`shared`).
"""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from math import floor
from secrets import token_hex
from time import monotonic, sleep
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakMethod

from ..background import Background
from ..config import SettingError, Settings
from ..failure import Code, Failure
from .local import Lease, Slots, Window

if TYPE_CHECKING:
    from .shared import Shared

LEASE_SECONDS = 30
"""After how long Redis frees the slot of a process that was killed. A process that runs renews its slots three times
in it."""
PAUSE_SECONDS = 3
"""How long the circuit breaker stays open: Redis is left alone after it failed, and after each probe that failed."""

_FULL_SECONDS = 5
"""The `Retry-After` of a user whose slots are all taken: nobody knows when a chat ends."""
_MAX_AMOUNT, _MAX_SECONDS = 1_000_000, 366 * 24 * 60 * 60
_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "month": 30 * 86_400, "year": 360 * 86_400}
_RATE = re.compile(rf"\s*([0-9]+)\s*(?:/|per)\s*([0-9]*)\s*({'|'.join(_UNITS)})s?\s*", re.IGNORECASE)


class Rate(NamedTuple):
    """So many requests in so many seconds."""

    amount: int
    seconds: int


class Limiter:
    """The limits of each user.

    The local counter is checked first; only what it lets through is checked in Redis. While Redis fails, this process
    counts alone, and its chats go on.
    """

    def __init__(
        self, settings: Settings, *, lease_seconds: float = LEASE_SECONDS, pause_seconds: float = PAUSE_SECONDS
    ) -> None:
        """Take the limits, and where they are shared; nothing is connected yet. Raises `SettingError`."""
        self._settings, self._rate = settings, rate(settings.rate_limit)
        self._lease_seconds, self._pause_seconds = lease_seconds, pause_seconds
        self._begin()
        begin_again = WeakMethod(self._begin)
        os.register_at_fork(after_in_child=lambda: (begin := begin_again()) and begin())

    @property
    def shared(self) -> bool:
        """Whether Redis counts. Asks it, unless the circuit breaker is open."""
        return self._redis is not None and self._redis.works()

    @property
    def fallbacks(self) -> int:
        """How often this process began to count alone because Redis failed."""
        return self._redis.fallbacks if self._redis else 0

    def hit(self, user: str) -> None:
        """Count a request. Raises `Failure` 429 when there were too many; that request is not counted."""
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
            raise self._is_full()
        try:
            if redis:
                self._renewal.wake()
                if redis.acquire(lease) == 0:
                    raise self._is_full()
            yield
        finally:
            slots.give_back(lease)
            if redis:
                redis.release(lease)

    def _begin(self) -> None:
        """Begin with empty counters. After a fork, too: chats, connections and locks are the parent's."""
        self._window = Window(*self._rate)
        self._slots = Slots(self._settings.max_streams_per_user)
        self._redis = self._open() if self._settings.redis_url else None
        self._renewal = Background(partial(_renew, self._slots, self._redis, self._lease_seconds / 3))

    def _open(self) -> "Shared":
        """Load what needs the `redis` and `limits` libraries, 5 MiB in each process, only where Redis is used."""
        opened: Shared = import_module(".shared", __package__).Shared(
            self._settings, self._rate, self._slots, self._lease_seconds, self._pause_seconds
        )
        return opened

    def _is_full(self) -> Failure:
        most = self._settings.max_streams_per_user
        message = f"Only {most} of your chats may run at once. Please wait until one has ended."
        return Failure(Code.RATE_LIMITED, message, {"Retry-After": str(_FULL_SECONDS)})


def rate(text: str) -> Rate:
    """Read a rate like `60/minute`, in the notation of the `limits` library. Raises `SettingError`."""
    if match := _RATE.fullmatch(text):
        with suppress(ValueError):  # int() reads 4300 digits at most
            amount, multiples, unit = match.groups()
            found = Rate(int(amount), (int(multiples or 1) or 1) * _UNITS[unit.lower()])
            if 0 < found.amount <= _MAX_AMOUNT and found.seconds <= _MAX_SECONDS:
                return found
    raise SettingError(f"RATE_LIMIT must be a number of requests in a time, like 60/minute, not {text!r}.")


def _renew(slots: Slots, redis: "Shared | None", seconds: float) -> None:
    """Renew the leases in Redis for as long as any is held."""
    while redis and slots.held():
        sleep(seconds)
        redis.renew()


def _key(user: str) -> str:
    """Return the id that a user is counted under: it has one form for every user, and does not tell who it is."""
    return hashlib.sha256(user.encode("utf-8", "surrogatepass")).hexdigest()
