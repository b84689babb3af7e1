"""What all processes count together, in Redis.

A call to Redis is made in a thread (a greenlet under gevent), over redis-py's connection pool, and the request
waits for the answer at most 80 ms. redis-py alone cannot promise that: the system's resolver knows no deadline, and a
new connection to a Redis far away needs longer, which goes on in the thread and serves the next call. And a
request that is interrupted leaves no answer half read, because it reads none itself.
"""

import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from functools import partial
from itertools import cycle
from queue import Empty, Queue, SimpleQueue
from threading import Lock
from time import monotonic, time
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from limits import RateLimitItemPerSecond
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis import ConnectionPool, Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..background import Background
from ..config import SettingError, Settings
from . import Rate
from .local import Lease, Slots

MAX_CONNECTIONS = 8
"""How many connections a process has to Redis at most. A small hosted Redis takes twenty clients in all."""
TURN_SECONDS, TURNS = 0.02, 4
"""How long a request waits for an answer: 80 ms, in turns. Where something else held up the event loop for all that
time, the answer may be here, and the next turn finds it."""
IDLE_SECONDS = 0.5
"""How long a thread waits for the next call before it ends."""

_SOCKET_SECONDS = 1
"""After how long a silent connection is closed; no request waits for that."""
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
_SOON = 0.001
_NOT_REDIS = (ArithmeticError, LookupError, TypeError, ValueError)
"""What redis-py and `limits` raise about an answer that no Redis would give."""

_NOW = "local now = redis.call('TIME') now = now[1] * 1000 + math.floor(now[2] / 1000)"
_ACQUIRE = f"""{_NOW}
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZREM', KEYS[1], ARGV[1])
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""
"""Takes a lease for so many milliseconds, if the user has less than so many. Redis's own clock alone counts."""
_RENEW = f"""{_NOW}
for number, key in ipairs(KEYS) do
    redis.call('ZADD', key, now + ARGV[1], ARGV[number + 1])
    redis.call('PEXPIRE', key, ARGV[1])
end
"""
"""Renews leases for so many milliseconds, also those that Redis has lost."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class Shared:
    """The limits in Redis. Whatever fails, the answer is None, and a circuit breaker opens (`Breaker`)."""

    def __init__(
        self, settings: Settings, rate: Rate, slots: Slots, lease_seconds: float, pause_seconds: float
    ) -> None:
        """Take where Redis is, what is counted, and the leases of this process. Raises `SettingError`."""
        self._pool = _pool(settings.redis_url, verify=settings.redis_tls_verify == "yes")
        self._client = Redis(connection_pool=self._pool)
        self._rate = RateLimitItemPerSecond(rate.amount, rate.seconds)
        self._window = MovingWindowRateLimiter(
            RedisStorage("redis://", connection_pool=self._pool, key_prefix="sluice")
        )
        self._slots, self._most = slots, settings.max_streams_per_user
        self._lease_milliseconds = int(lease_seconds * 1000)
        self._breaker = Breaker(pause_seconds)
        # Not a SimpleQueue: where several threads get from one, CPython 3.11 may let one of them wait for ever.
        self._calls: Queue[_Call[Any]] = Queue()
        number = min(MAX_CONNECTIONS, self._pool.max_connections)
        self._threads = cycle([Background(partial(_serve, self._calls)) for _ in range(number)])
        self.fallbacks = 0

    def works(self) -> bool:
        """Tell whether Redis can be used."""
        return self._call(self._check) is not None

    def hit(self, user: str) -> float | None:
        """Count a request if there is room for it, else return in how many seconds there is."""
        return self._call(partial(self._hit, user))

    def acquire(self, lease: Lease) -> int | None:
        """Take a lease; return 0 if the user has as many as there may be."""
        return self._call(partial(self._acquire, lease))

    def release(self, lease: Lease) -> None:
        """Give a lease back, if it was taken; while Redis fails, it is left to expire."""
        self._call(partial(self._remove, lease))

    def renew(self) -> None:
        """Renew the leases of this process."""
        self._call(self._renew)

    def _call(self, work: Callable[[], T]) -> T | None:
        """Return what the work returns, None if that failed, or if the circuit breaker lets nothing through."""
        state = self._breaker.enter()
        if state is State.OPEN:
            return None
        call = _Call(partial(self._probe, work) if state is State.HALF_OPEN else work)
        self._calls.put(call)
        has_thread = next(self._threads).wake()
        answer, failure = call.wait(self._breaker) if has_thread else (None, "no thread could be started")
        if failure:
            self._fail(failure)
        elif state is State.HALF_OPEN:
            self._breaker.close()
            log.warning("Redis can be used again, so limits are counted for all processes together.")
        return answer

    def _fail(self, failure: str) -> None:
        """Open the circuit breaker, and close idle connections: the name may mean another machine by the next probe."""
        self._pool.disconnect(inuse_connections=False)
        if self._breaker.open():
            self.fallbacks += 1
            why = failure.replace(self._pool.connection_kwargs.get("password") or "\0", "***")[:200]
            log.warning("Redis cannot be used, so this process counts limits alone until it can: %r", why)

    def _probe(self, work: Callable[[], T]) -> T:
        """Tell Redis of the leases that are held, before anything else."""
        self._check()
        self._renew()
        return work()

    def _check(self) -> bool:
        """Write something: a full Redis, or one that is only a replica, answers PING as well."""
        return bool(self._client.set("sluice:check", "", px=1000))

    def _hit(self, user: str) -> float:
        if self._window.hit(self._rate, user):
            return 0
        reset, _ = self._window.get_window_stats(self._rate, user)
        return min(max(reset - time(), _SOON), self._rate.get_expiry())  # whatever the clocks of others say

    def _acquire(self, lease: Lease) -> int:
        taken = int(self._run(_ACQUIRE, [lease], lease.id, self._most, self._lease_milliseconds))
        self._remove_ended(lease)
        return taken

    def _renew(self) -> None:
        if leases := self._slots.held():
            self._run(_RENEW, leases, self._lease_milliseconds, *(lease.id for lease in leases))
            self._remove_ended(*leases)

    def _remove_ended(self, *leases: Lease) -> None:
        """Remove what was given back meanwhile: over another connection, the release may have come first."""
        for lease in leases:
            if lease not in self._slots:
                self._remove(lease)

    def _remove(self, lease: Lease) -> None:
        self._client.zrem(_key(lease), lease.id)

    def _run(self, script: str, leases: list[Lease], *arguments: str | int) -> Any:  # noqa: ANN401 - what Redis answers
        return self._client.eval(script, len(leases), *map(_key, leases), *arguments)


class State(Enum):
    """The states of a circuit breaker."""

    CLOSED = auto()
    OPEN = auto()
    HALF_OPEN = auto()


class Breaker:
    """A circuit breaker: a Redis that failed is left alone, until a probe finds that it works.

    | state     | a call                                       | then                                             |
    |-----------|----------------------------------------------|--------------------------------------------------|
    | CLOSED    | is made                                      | OPEN when it fails                               |
    | OPEN      | is not made for `pause_seconds`              | HALF_OPEN, and the next call is the probe        |
    | HALF_OPEN | is not made, as long as the probe may run    | CLOSED if the probe is answered, OPEN if it fails; |
    |           |                                              | a probe without an end is replaced after a pause |
    """

    def __init__(self, pause_seconds: float) -> None:
        """Begin closed."""
        self.state = State.CLOSED
        self._pause_seconds = pause_seconds
        self._probe_at = 0.0
        self._lock = Lock()

    def enter(self) -> State:
        """Return CLOSED if a call may be made, OPEN if it may not, and HALF_OPEN if it is the probe."""
        with self._lock:
            if self.state is State.CLOSED:
                return State.CLOSED
            if monotonic() < self._probe_at:
                return State.OPEN
            self._probe_at = monotonic() + self._pause_seconds
            self.state = State.HALF_OPEN
            return State.HALF_OPEN

    def open(self) -> bool:
        """A call failed. Tell whether it is the first to fail."""
        with self._lock:
            was_closed = self.state is State.CLOSED
            self.state = State.OPEN
            self._probe_at = monotonic() + self._pause_seconds
            return was_closed

    def close(self) -> None:
        """The probe was answered."""
        self.state = State.CLOSED


class _Call(Generic[T]):
    """A call to Redis, which a thread makes, and what came of it: the answer, or why it failed."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._outcome: SimpleQueue[tuple[T | None, str]] = SimpleQueue()
        self._has_begun = False

    def run(self) -> None:
        self._has_begun = True
        try:
            outcome = self._work(), ""
        except (RedisError, *_NOT_REDIS) as error:
            self._outcome.put((None, str(error) or type(error).__name__))
        else:
            self._outcome.put(outcome)

    def wait(self, breaker: Breaker) -> tuple[T | None, str]:
        """Wait for the outcome. While all connections are in use, time counts only if the breaker is not closed."""
        turns = TURNS
        while turns:
            with suppress(Empty):
                return self._outcome.get(timeout=TURN_SECONDS)
            turns -= self._has_begun or breaker.state is not State.CLOSED
        return None, "it did not answer in time"


def _serve(calls: Queue[_Call[Any]]) -> None:
    """Make one call after the other, until there has been none for a while."""
    with suppress(Empty):
        while True:
            call = calls.get(timeout=IDLE_SECONDS)
            call.run()
            del call  # It holds the limiter, which nobody else may have any more.


def _key(lease: Lease) -> str:
    """Return the key of a user's leases: a sorted set of their ids, by the time at which they expire."""
    return f"sluice:slots:{lease.user}"


def _pool(url: str, *, verify: bool) -> ConnectionPool:
    """Return the connection pool of a URL; it makes no connection yet. Raises `SettingError`."""
    options = {
        "socket_timeout": _SOCKET_SECONDS,
        "socket_connect_timeout": _SOCKET_SECONDS,
        "socket_keepalive": True,  # A connection that a firewall has forgotten is found dead before it is used.
        "socket_keepalive_options": {getattr(socket, k): v for k, v in _KEEPALIVE.items() if hasattr(socket, k)},
        "retry": Retry(NoBackoff(), 0),
        "driver_info": None,  # It would cost two round trips to tell.
    }
    with suppress(TypeError, ValueError, RedisError):  # whose texts may quote the URL, password and all
        parts = urlsplit(url)
        if parts.scheme in {"redis", "rediss"} and parts.hostname:
            if parts.scheme == "rediss" and not verify:
                options |= {"ssl_cert_reqs": "none", "ssl_check_hostname": False}
            found = ConnectionPool.from_url(url, **options)
            found.connection_class(**found.connection_kwargs)  # It knows what options a URL may bring.
            return found
    raise SettingError("REDIS_URL must be an address like redis://:password@redis.example:6379/0.")
