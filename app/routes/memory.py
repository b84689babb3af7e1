"""How much of this process's memory the bodies of its requests may take."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from ..failure import Code, Failure

USER_SHARE = 0.25
"""The part of a budget that several bodies of one user may take together."""


class MemoryBudget:
    """A budget of bytes: how many are taken, and by which users."""

    def __init__(self, most: int) -> None:
        """Take how many bytes there are."""
        self._most = most
        self._held: Counter[str] = Counter()
        self._lock = Lock()

    @contextmanager
    def share(self, user: str, announced: int = 0) -> Iterator[Callable[[int], None]]:
        """Give a function that takes so many bytes more for one request; at the end they are given back.

        It raises `Failure` 503 when so many are not left. So does this, before anything is read, when what is
        `announced` is not left; that is not taken yet, as it may never come. The only body of a user may take all that
        is left; several of one user may take `USER_SHARE`. A body may take more than the budget while there is no
        other: it would never fit.
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
        """Raise `Failure` if so many more are too many: this request has `taken`, all of its user have `held`."""
        total = self._held.total()
        is_over_share = held > taken and held + number > self._most * USER_SHARE
        if is_over_share or (total > taken and total + number > self._most):
            raise Failure(Code.SHED, "The service is reading as much as it can. Please try again in a moment.")
