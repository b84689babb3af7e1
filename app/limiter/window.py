"""Who asked when, in this process."""

from collections import OrderedDict, deque
from threading import Lock

MAX_USERS = 100_000


class Window:
    """The moments of each user's latest requests, of the latest users. All times are in seconds.

    Not the library's own storage in memory, which starts a thread every few requests, and forgets no user.
    """

    def __init__(self, amount: int, seconds: float) -> None:
        """Take how many requests there may be within how many seconds."""
        self._amount, self._seconds = amount, seconds
        self._moments: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = Lock()

    def wait(self, key: str, now: float) -> float:
        """Return in how many seconds there is room for a request; 0 if there is."""
        moments = self._moments.get(key)
        if moments is None or len(moments) < self._amount:
            return 0
        return max(moments[0] + self._seconds - now, 0)

    def take(self, key: str, now: float) -> float:
        """Count a request if there is room for it, else return in how many seconds there is."""
        with self._lock:
            seconds = self.wait(key, now)
            if not seconds:
                self._moments.setdefault(key, deque(maxlen=self._amount)).append(now)
                self._moments.move_to_end(key)
                self._forget(now)
            return seconds

    def _forget(self, now: float) -> None:
        """Forget two of those who are of no account any more; a request brings one at most."""
        for _ in range(2):
            oldest = next(iter(self._moments))
            if self._moments[oldest][-1] + self._seconds > now and len(self._moments) <= MAX_USERS:
                break
            del self._moments[oldest]

    def __len__(self) -> int:
        """Return how many users are remembered."""
        return len(self._moments)
