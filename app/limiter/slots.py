"""The slots that are held in this process."""

from threading import Lock
from typing import NamedTuple


class Lease(NamedTuple):
    """A slot of a user's, as Redis knows it."""

    user: str
    id: str

    @property
    def key(self) -> str:
        """Where the user's leases are in Redis: a sorted set of their ids, by when they expire."""
        return f"sluice:slots:{self.user}"


class Slots:
    """Who holds how many."""

    def __init__(self, most: int) -> None:
        """Take how many a user may hold."""
        self._most = most
        self._held: dict[str, set[Lease]] = {}
        self._lock = Lock()

    def take(self, lease: Lease) -> bool:
        """Hold one more, if the user may."""
        with self._lock:
            held = self._held.get(lease.user, set())
            if len(held) >= self._most:
                return False
            self._held.setdefault(lease.user, held).add(lease)
            return True

    def give_back(self, lease: Lease) -> None:
        """Hold one less; may be called twice."""
        with self._lock:
            held = self._held.get(lease.user, set())
            held.discard(lease)
            if not held:
                self._held.pop(lease.user, None)

    def held(self) -> list[Lease]:
        """Return all that are held."""
        with self._lock:
            return [lease for held in self._held.values() for lease in held]
