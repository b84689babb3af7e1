"""A TTL cache in front of the database: most requests need no query, and a short outage is bridged."""

from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from threading import Lock
from time import monotonic
from typing import Generic, NamedTuple, TypeVar

from ..failure import Code, Failure
from .database import Database

T = TypeVar("T")

FRESH_SECONDS = 10
STALE_SECONDS = 300
"""How long a stale value still serves while the database cannot be used."""
MAX_ENTRIES = 10_000


class _Entry(NamedTuple, Generic[T]):
    value: T
    version: tuple[int, ...]
    read_at: float


class _Flight(NamedTuple, Generic[T]):
    """One read that is under way, and the result that its callers share."""

    version: tuple[int, ...]
    began: float
    result: Future[T]


class Cache(Generic[T]):
    """A bounded TTL cache with single flight: callers that want the same key at once share one read.

    A change by this process ends an entry at once (`forget`), a change by another one within `FRESH_SECONDS`. With
    SQLite, `Database.version` shows the other's change at once, too.
    """

    def __init__(self, database: Database) -> None:
        """Take the database that is read."""
        self._database = database
        self._entries: dict[Hashable, _Entry[T]] = {}
        self._flights: dict[Hashable, _Flight[T]] = {}
        self._lock = Lock()

    def get(self, key: Hashable, read: Callable[[], T]) -> T:
        """Return the cached value, or what `read` returns. A `LookupError` of `read` is passed on and not cached."""
        entry, version, now = self._entries.get(key), self._database.version(), monotonic()
        if entry and entry.version == version and now < entry.read_at + FRESH_SECONDS:
            return entry.value
        stale = entry if entry and now < entry.read_at + STALE_SECONDS else None
        if stale and not self._database.may_be_called():
            return stale.value
        try:
            return self._read(key, read, version)
        except LookupError:
            self.forget(key)
            raise
        except Failure as failure:
            if not stale or failure.code is not Code.DB_UNAVAILABLE:
                raise
            return stale.value

    def keys(self) -> list[Hashable]:
        """Return the keys of all values that would serve in an outage."""
        now = monotonic()
        return [key for key, entry in self._entries.copy().items() if now < entry.read_at + STALE_SECONDS]

    def knows(self, key: Hashable) -> bool:
        """Tell whether a value that is not None was read, however long ago."""
        return key in self._entries and self._entries[key].value is not None

    def forget(self, key: Hashable) -> None:
        """Drop an entry that has changed; a read that is under way will not be cached."""
        with self._lock:
            self._flights.pop(key, None)
            self._entries.pop(key, None)

    def _read(self, key: Hashable, read: Callable[[], T], version: tuple[int, ...]) -> T:
        """Read, or share the result of another caller that reads the same."""
        while True:
            flight, is_leader = self._join(key, version)
            if is_leader:
                break
            with suppress(CancelledError):  # The other caller was interrupted: one of those who waited reads instead.
                if error := flight.result.exception():
                    raise error.with_traceback(None)  # or it would keep the frames of all callers
                return flight.result.result()
        try:
            value = read()
        except (Failure, LookupError) as error:
            flight.result.set_exception(error)
            raise
        else:
            self._store(key, value, flight)
            flight.result.set_result(value)
            return value
        finally:
            self._end(key, flight)
            flight.result.cancel()  # has no effect on a result or an error, so this is for an interrupted read
            del flight  # or the traceback of an error would keep it, and it the error

    def _join(self, key: Hashable, version: tuple[int, ...]) -> tuple[_Flight[T], bool]:
        """Return the flight that reads a key at this version, and whether it was made here."""
        with self._lock:
            flight = self._flights.get(key)
            if flight is not None and flight.version == version:
                return flight, False
            flight = self._flights[key] = _Flight(version, monotonic(), Future())
            return flight, True

    def _store(self, key: Hashable, value: T, flight: _Flight[T]) -> None:
        """Cache a value, unless the key was forgotten while it was read."""
        with self._lock:
            if self._flights.get(key) is not flight:
                return
            self._entries.pop(key, None)
            while len(self._entries) >= MAX_ENTRIES:
                del self._entries[next(iter(self._entries))]
            self._entries[key] = _Entry(value, flight.version, flight.began)

    def _end(self, key: Hashable, flight: _Flight[T]) -> None:
        with self._lock:
            if self._flights.get(key) is flight:
                del self._flights[key]
