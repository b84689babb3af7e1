"""How a chat waits in gevent's loop: for a socket, until a deadline, or until it is ended from outside."""

import select
import socket as sockets
from collections.abc import Callable
from socket import socket
from time import monotonic
from typing import Any

import gevent
import gevent.socket
from gevent.monkey import get_original

READ, WRITE = 1, 2
"""libev's flags for what a descriptor is ready for."""

_NEVER = float("inf")
_BEFORE_TIMERS = 1
"""A priority of libev's: what has come in time is not late, though the loop was."""


def start_thread(do: Callable[[], None]) -> None:
    """Do something in a thread of the system's, and not in a greenlet."""
    get_original("_thread", "start_new_thread")(do, ())


def find(host: str, port: int) -> list[Any]:
    """Look a name up in such a thread. gevent's own function would wait for one of the ten that all names share."""
    look_up = sockets.getaddrinfo
    if look_up is gevent.socket.getaddrinfo:
        look_up = get_original("socket", "getaddrinfo")
    return look_up(host, port, type=sockets.SOCK_STREAM)


class LoopWait:
    """A `Wait` for the greenlet that makes it.

    Moving the deadline costs nothing: its timer is only looked at again when it rings.
    """

    def __init__(self) -> None:
        """Wait for nothing yet."""
        self._greenlet, self._hub = gevent.getcurrent(), gevent.get_hub()
        self._ready: Any = None
        self._sock: socket | None = None
        self._events = 0
        self._timer: Any = None
        self._rings_at = _NEVER
        self._deadline = _NEVER
        self._end: BaseException | None = None

    def __call__(self, sock: socket | None, events: int, deadline: float) -> None:
        """Wait until the socket is ready. Raises `TimeoutError` at the deadline, and the end if there was one."""
        if self._end is not None:
            raise self._end  # again, for code that took it for the provider's failure
        if sock is None:
            gevent.sleep(max(deadline - monotonic(), 0))
            raise TimeoutError
        if sock is not self._sock or events != self._events:
            self._watch(sock, events)
        self._deadline = deadline
        if deadline < self._rings_at:
            self._set_timer(deadline)
        try:
            self._hub.wait(self._ready)
        finally:
            self._deadline = _NEVER

    def end(self, reason: BaseException) -> None:
        """Throw into the greenlet, from the event loop; nothing can be waited for any more."""
        self._end = reason
        self._greenlet.throw(reason)

    def close(self) -> None:
        """Let go of what watches."""
        for watcher in (self._ready, self._timer):
            if watcher is not None:
                watcher.close()
        self._ready = self._sock = self._timer = None
        self._rings_at = _NEVER

    def _watch(self, sock: socket, events: int) -> None:
        """Watch another socket. Not its number: a new socket may get that of one that was closed, unknown to libev."""
        if self._ready is not None:
            self._ready.close()
        flag = READ if events == select.POLLIN else WRITE
        self._ready = self._hub.loop.io(sock.fileno(), flag, priority=_BEFORE_TIMERS)
        self._sock, self._events = sock, events

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.close()
        self._rings_at = at
        self._timer = self._hub.loop.timer(max(at - monotonic(), 0))
        self._timer.start(self._ring)

    def _ring(self) -> None:
        self._rings_at = _NEVER
        if monotonic() >= self._deadline:
            self._greenlet.throw(TimeoutError())
        elif self._deadline < _NEVER:
            self._set_timer(self._deadline)
