"""One chat's asking, as it goes on: what it took, and whether anybody still waits for the answer.

It travels beside the call, because the SDK stands between who asks and the socket.
"""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

T = TypeVar("T")

LOOK_SECONDS = 0.5
"""How often a thread that waits for the provider looks after its reader."""


@dataclass(slots=True)
class Asking:
    """What is known of one chat's asking so far."""

    attempts: int = 0
    """How often the provider was asked."""
    status: int | None = None
    """The provider's HTTP status."""
    events: int = 0
    """How many events the provider has sent."""
    first_piece: float | None = None
    """When the first piece came, on the monotonic clock."""
    usage: dict[str, Any] | None = None
    """The provider's token count, as it came."""
    look: Callable[[], None] | None = None
    """Raises `Gone` if the reader has left; None where that is thrown into whatever waits."""


_current: ContextVar[Asking] = ContextVar("asking")


def begin(asking: Asking) -> None:
    """Count whatever this thread (or greenlet) asks from here on in `asking`."""
    _current.set(asking)


def current() -> Asking:
    """Return what this thread counts in; one that nobody reads if it has not begun."""
    return _current.get(None) or Asking()


def patiently(attempt: Callable[[float], T], deadline: float) -> T:
    """Call `attempt` with how many seconds to wait, until it returns, looking after the reader in between.

    Raises `TimeoutError` (or what non-blocking sockets raise in its place) when the deadline passes, and `Gone`.
    """
    look = current().look
    while True:
        left = max(deadline - monotonic(), 0)
        seconds = left if look is None else min(left, LOOK_SECONDS)
        try:
            return attempt(seconds)
        except TimeoutError:
            if look is None or seconds == left:
                raise
            look()
