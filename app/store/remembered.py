"""What was read of the database lately, so that most requests need not ask it, and a short outage stops nobody."""

from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import Generic, NamedTuple, TypeVar

from ..failure import Code, Failure
from .database import Database

T = TypeVar("T")

FRESH_SECONDS = 10
KEPT_SECONDS = 300
"""How long what was read still serves while the database cannot be asked."""
MAX_ENTRIES = 10_000


class _Entry(NamedTuple, Generic[T]):
    value: T
    state: tuple[int, ...]
    read_at: float


@dataclass(slots=True)
class _Reading(Generic[T]):
    state: tuple[int, ...]
    began: float
    shared: Future[T] | None = None
    """Made when somebody else wants the same, which is seldom."""


class Remembered(Generic[T]):
    """What was read, by key. What was changed in this process is forgotten at once, elsewhere in `FRESH_SECONDS`.

    A crowd that wants the same at the same moment asks the database once.
    """

    def __init__(self, database: Database) -> None:
        """Take the database that is read."""
        self._database = database
        self._entries: dict[Hashable, _Entry[T]] = {}
        self._reading: dict[Hashable, _Reading[T]] = {}
        self._lock = Lock()

    def get(self, key: Hashable, read: Callable[[], T]) -> T:
        """Return what is remembered, or else what `read` does; a `LookupError` of its is not remembered."""
        entry, state, now = self._entries.get(key), self._database.state(), monotonic()
        if entry and entry.state == state and now < entry.read_at + FRESH_SECONDS:
            return entry.value
        is_kept = entry is not None and now < entry.read_at + KEPT_SECONDS
        if entry and is_kept and not self._database.may_be_asked():
            return entry.value
        try:
            return self._read(key, read, state)
        except LookupError:
            self.forget(key)
            raise
        except Failure as failure:
            if not entry or not is_kept or failure.code is not Code.DB_UNAVAILABLE:
                raise
            return entry.value

    def kept(self) -> dict[Hashable, T]:
        """Return all that would serve while the database cannot be asked."""
        now = monotonic()
        return {key: entry.value for key, entry in self._entries.copy().items() if now < entry.read_at + KEPT_SECONDS}

    def knows(self, key: Hashable) -> bool:
        """Tell whether something was read, however long ago."""
        return key in self._entries and self._entries[key].value is not None

    def forget(self, key: Hashable) -> None:
        """Forget what has changed, what is being read right now included."""
        with self._lock:
            self._reading.pop(key, None)
            self._entries.pop(key, None)

    def _read(self, key: Hashable, read: Callable[[], T], state: tuple[int, ...]) -> T:
        """Read, unless somebody is reading the same: then share what comes of it."""
        while True:
            with self._lock:
                reading = self._reading.get(key)
                if reading is None or reading.state != state:
                    mine = self._reading[key] = _Reading(state, monotonic())
                    break
                reading.shared = shared = reading.shared or Future()
            with suppress(CancelledError):  # Whoever read was interrupted.
                if error := shared.exception():
                    raise error.with_traceback(None)  # or it would keep the frames of all the crowd
                return shared.result()
        return self._lead(key, read, mine)

    def _lead(self, key: Hashable, read: Callable[[], T], mine: _Reading[T]) -> T:
        try:
            value = read()
        except (Failure, LookupError) as error:
            if shared := self._end(key, mine):
                shared.set_exception(error)
            raise
        else:
            if shared := self._end(key, mine, _Entry(value, mine.state, mine.began)):
                shared.set_result(value)
            return value
        finally:
            self._cancel(key, mine)

    def _cancel(self, key: Hashable, mine: _Reading[T]) -> None:
        """End a reading that was interrupted; nothing happens to one that has ended."""
        if shared := self._end(key, mine):
            shared.cancel()

    def _end(self, key: Hashable, mine: _Reading[T], entry: _Entry[T] | None = None) -> Future[T] | None:
        """End a reading; remember what came of it, unless that may have changed meanwhile. Return who else waits."""
        with self._lock:
            if self._reading.get(key) is mine:
                del self._reading[key]
                if entry:
                    self._put(key, entry)
            return mine.shared

    def _put(self, key: Hashable, entry: _Entry[T]) -> None:
        self._entries.pop(key, None)
        while len(self._entries) >= MAX_ENTRIES:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = entry
