"""The memory budget of a process for the bodies of its requests."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from ..failure import Code, Failure

USER_SHARE = 0.25
"""The part of the budget that several bodies of one user may take together."""


class MemoryBudget:
    """A budget of bytes, with the part that each user holds."""

    def __init__(self, most: int) -> None:
        """Take the size of the budget in bytes."""
        self._most = most
        self._held: Counter[str] = Counter()
        self._lock = Lock()

    @contextmanager
    def share(self, user: str, announced: int = 0) -> Iterator[Callable[[int], None]]:
        """Give a function that reserves so many more bytes for one request; at the end, all are released.

        The function raises `Failure` 503 if so many bytes are not left. `share` does the same at its begin for the
        `announced` bytes, but does not reserve them, because they may never come. If a user has one body, it may take
        all the bytes that are left; several bodies together may take `USER_SHARE`. A body that is larger than the whole
        budget is allowed while there is no other.
        """
        taken = 0
        self._check(announced, taken)

        def grow(number: int) -> None:
            nonlocal taken
            with self._lock:
                self._check(number, taken, self._held[user])
                self._held[user] += number
            taken += number

        try:
            yield grow
        finally:
            with self._lock:
                self._held[user] -= taken
                if not self._held[user]:
                    del self._held[user]

    def _check(self, number: int, taken: int, held: int = 0) -> None:
        """Raise `Failure` if so many more are too many: this request has `taken`, all requests of its user `held`."""
        total = self._held.total()
        is_over_share = held > taken and held + number > self._most * USER_SHARE
        if is_over_share or (total > taken and total + number > self._most):
            raise Failure(Code.SHED, "The service is reading as much as it can. Please try again in a moment.")
