"""What all processes count together, in Redis, as long as that answers."""

import logging
from collections.abc import Callable
from threading import Lock
from time import monotonic, time
from typing import TypeVar

from limits import RateLimitItem
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis import ConnectionPool, RedisError

from .line import Line
from .slots import Lease, Slots

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

_SOON = 0.001

T = TypeVar("T")

log = logging.getLogger(__name__)


class Shared:
    """The limits in Redis. Whatever it is that fails, the answer is None.

    After a failure it is left alone for a while, which costs nothing. Then one request at a time looks if it is back.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        rate: RateLimitItem,
        slots: Slots,
        lease_seconds: float,
        pause_seconds: float,
    ) -> None:
        """Take where Redis is, what is to be counted, and what is held in this process."""
        self._line = Line(pool)
        self._rate, self._counter = rate, MovingWindowRateLimiter(_Storage(self._line))
        self._slots, self._lease_milliseconds = slots, int(lease_seconds * 1000)
        self._pause_seconds = pause_seconds
        self._password = pool.connection_kwargs.get("password")
        self._is_failing, self._next_look = False, 0.0
        self._lock = Lock()
        self.fallbacks = 0

    def works(self) -> bool:
        """Tell whether Redis can be used."""
        return self._ask(self._check) is not None

    def hit(self, user: str) -> float | None:
        """Count a request if there is room for it, else return in how many seconds there is."""
        return self._ask(lambda: self._hit(user))

    def acquire(self, lease: Lease, most: int) -> int | None:
        """Take a lease, one of so many of the user's; return 0 if there is none to be had."""
        arguments = lease.id, most, self._lease_milliseconds
        return self._ask(lambda: int(self._line.execute_command("EVAL", _ACQUIRE, 1, lease.key, *arguments)))

    def release(self, lease: Lease) -> None:
        """Give a lease back, if it was taken; while Redis fails, it is left to expire."""
        self._ask(lambda: self._line.execute_command("ZREM", lease.key, lease.id))

    def renew(self) -> None:
        """Renew the leases of all that runs here."""
        self._ask(self._renew)

    def _ask(self, work: Callable[[], T]) -> T | None:
        is_look = self._is_failing
        if is_look and not self._may_look():
            return None
        try:
            self._line.begin()
            if is_look:
                self._come_back()
            answer = work()
        except (RedisError, ArithmeticError, LookupError, TypeError, ValueError) as error:  # the others: it is no Redis
            self._fail(error)
            return None
        if is_look:
            self._recover()
        return answer

    def _hit(self, user: str) -> float:
        if self._counter.hit(self._rate, user):
            return 0
        reset, _ = self._counter.get_window_stats(self._rate, user)
        return min(max(reset - time(), _SOON), self._rate.get_expiry())  # whatever the clocks of others say

    def _check(self) -> bool:
        """Write something: an answer to PING says little of one that is full, or only a replica."""
        return bool(self._line.set("sluice:check", "", px=1000))

    def _renew(self) -> None:
        leases = self._slots.held()
        if leases:
            keys, ids = [lease.key for lease in leases], [lease.id for lease in leases]
            self._line.execute_command("EVAL", _RENEW, len(keys), *keys, self._lease_milliseconds, *ids)

    def _may_look(self) -> bool:
        """Tell whether it is time to see if Redis is back; whoever is told so spends its own time on it."""
        with self._lock:
            now = monotonic()
            may = now >= self._next_look
            if may:
                self._next_look = now + self._pause_seconds
            return may

    def _come_back(self) -> None:
        """Before anything else, tell Redis of what runs here."""
        self._check()
        self._renew()

    def _fail(self, error: Exception) -> None:
        """Leave Redis alone, and let go of the connection: its name may mean another machine by the next look.

        One that is still being made is kept: where that takes longer than anybody waits, the next look finds it made.
        """
        self._line.connection_pool.disconnect(inuse_connections=False)
        with self._lock:
            self._next_look = monotonic() + self._pause_seconds
            if self._is_failing:
                return
            self._is_failing = True
            self.fallbacks += 1
        why = str(error).replace(self._password or "\0", "***")[:200]
        log.warning("Redis cannot be used, so this process counts limits alone until it can: %r", why)

    def _recover(self) -> None:
        self._is_failing = False
        log.warning("Redis can be used again, so limits are counted for all processes together.")


class _Storage(RedisStorage):
    """The library's storage, over a client of ours."""

    def __init__(self, line: Line) -> None:
        self._line = line
        super().__init__("redis://", connection_pool=line.connection_pool, key_prefix="sluice")

    def get_connection(self, readonly: bool = False) -> Line:  # type: ignore[override] # noqa: ARG002, FBT001, FBT002
        """Return the client; the library describes its own more narrowly than Redis's is."""
        return self._line
