"""What this process counts by itself: requests in a moving window, and slots in use. All times are in seconds."""

from collections import OrderedDict, deque
from threading import Lock
from typing import NamedTuple

MAX_USERS = 100_000
"""How many users a window remembers: the latest."""


class Window:
    """A moving window: the moments of each user's latest requests.

    The `limits` library has one, too, but it starts a thread every few requests and forgets no user.
    """

    def __init__(self, amount: int, seconds: float) -> None:
        """Take how many requests there may be within how many seconds."""
        self._amount, self._seconds = amount, seconds
        self._moments: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = Lock()

    def wait(self, user: str, now: float) -> float:
        """Return in how many seconds there is room for a request; 0 if there is."""
        moments = self._moments.get(user)
        if moments is None or len(moments) < self._amount:
            return 0
        return max(moments[0] + self._seconds - now, 0)

    def take(self, user: str, now: float) -> float:
        """Count a request if there is room for it, else return in how many seconds there is."""
        with self._lock:
            seconds = self.wait(user, now)
            if not seconds:
                self._moments.setdefault(user, deque(maxlen=self._amount)).append(now)
                self._moments.move_to_end(user)
                self._forget(now)
            return seconds

    def _forget(self, now: float) -> None:
        """Forget up to two users without a request in the window; each request adds one user at most."""
        for _ in range(2):
            oldest = next(iter(self._moments))
            if self._moments[oldest][-1] + self._seconds > now and len(self._moments) <= MAX_USERS:
                break
            del self._moments[oldest]

    def __len__(self) -> int:
        """Return how many users are remembered."""
        return len(self._moments)


class Lease(NamedTuple):
    """One slot of one user, with an id of its own."""

    user: str
    id: str


class Slots:
    """The leases that are held in this process. A user holds at most `most` of them."""

    def __init__(self, most: int) -> None:
        """Take how many a user may hold."""
        self._most = most
        self._held: dict[str, set[Lease]] = {}
        self._lock = Lock()

    def take(self, lease: Lease) -> bool:
        """Hold a lease, if the user may hold one more."""
        with self._lock:
            held = self._held.get(lease.user, set())
            if len(held) >= self._most:
                return False
            self._held.setdefault(lease.user, held).add(lease)
            return True

    def give_back(self, lease: Lease) -> None:
        """Hold a lease no longer; a second call does nothing."""
        with self._lock:
            held = self._held.get(lease.user, set())
            held.discard(lease)
            if not held:
                self._held.pop(lease.user, None)

    def held(self) -> list[Lease]:
        """Return all leases that are held."""
        with self._lock:
            return [lease for held in self._held.values() for lease in held]

    def __contains__(self, lease: Lease) -> bool:
        """Tell whether a lease is held."""
        return lease in self._held.get(lease.user, ())
