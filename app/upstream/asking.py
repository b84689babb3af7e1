"""One chat's asking, as it goes on: what it took, and how it waits.

It travels beside the call, because the SDK stands between who asks and the socket.
"""

import select
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from socket import socket
from time import monotonic
from typing import Any, TypeVar

T = TypeVar("T")

MAX_ATTEMPTS = 2
"""How often one chat may be asked for, whatever went wrong the first time."""

Wait = Callable[[socket | None, int, float], None]
"""Waits until a socket has one of the events of `select.poll`, or for nothing but the deadline on the monotonic clock.

Raises `TimeoutError` when that passes, and `Gone` if the reader leaves before.
"""


def wait_alone(sock: socket | None, events: int, deadline: float) -> None:
    """Wait where nobody knows the reader: a `Wait` of the standard library's."""
    ready = select.poll()
    if sock is not None:
        ready.register(sock, events)
    if not ready.poll(max(deadline - monotonic(), 0) * 1000):
        raise TimeoutError


@dataclass(slots=True)
class Asking:
    """What is known of one chat's asking so far."""

    wait: Wait = wait_alone
    user: str = ""
    """Who asks."""
    attempts: int = 0
    """How often the provider was asked."""
    allowed: int = MAX_ATTEMPTS
    """How often it may be asked."""
    status: int | None = None
    """The provider's HTTP status."""
    events: int = 0
    """How many events the provider has sent."""
    first_piece: float | None = None
    """When the first piece came, on the monotonic clock."""
    usage: dict[str, Any] | None = None
    """The provider's token counts, by its own names."""


_current: ContextVar[Asking] = ContextVar("asking")


def begin(asking: Asking) -> None:
    """Count whatever this thread (or greenlet) asks from here on in `asking`."""
    _current.set(asking)


def current() -> Asking:
    """Return what this thread counts in; one that nobody reads if it has not begun."""
    return _current.get(None) or Asking()


@contextmanager
def apart() -> Iterator[None]:
    """Count what is asked inside in nothing, and wait there alone: the thread's last reader may have left long ago."""
    token = _current.set(Asking())
    try:
        yield
    finally:
        _current.reset(token)


def patiently(do: Callable[[], T], wait: Wait, sock: socket, deadline: float, event: int = select.POLLIN) -> T:
    """Do what a non-blocking socket may not be ready for, as soon as it is. Raises what a `Wait` raises."""
    while True:
        try:
            return do()
        except BlockingIOError:
            wait(sock, event, deadline)
        except ssl.SSLWantReadError:
            wait(sock, select.POLLIN, deadline)
        except ssl.SSLWantWriteError:
            wait(sock, select.POLLOUT, deadline)
