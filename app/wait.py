"""How a chat waits: for a socket, until a deadline, or until it is ended from outside.

A `Wait` is injected into everything that talks to a provider, so that none of it knows which server runs it:
`LoopWait` waits in gevent's loop, `wait_alone` blocks the thread, and a watch on the client (in `streaming`) waits for
the provider's socket and the client's departure at once.
"""

import select
import socket as sockets
import ssl
from collections.abc import Callable
from contextlib import suppress
from socket import socket
from time import monotonic
from typing import Any, TypeVar

import gevent
import gevent.socket
from gevent.monkey import get_original

T = TypeVar("T")

Wait = Callable[[socket | None, int, float], None]
"""Wait until a socket has one of the events of `select.poll`, or, without a socket, for the deadline alone.

The deadline is a time of the monotonic clock. Raises `TimeoutError` when it passes, and `Gone` or a `Failure` when the
chat is ended from outside.
"""

READ, WRITE = 1, 2
"""libev's flags for what a descriptor is ready for."""

TURN_SECONDS = 0.000_001
"""How long a turn for others lasts. Not 0: gevent's loop looks at its sockets only before a timer rings."""

_NEVER = float("inf")
_BEFORE_TIMERS = 1
"""A priority of libev's: what has come in time is not late, though the loop was."""


def wait_alone(sock: socket | None, events: int, deadline: float) -> None:
    """Wait in a thread, where no client is watched."""
    ready = select.poll()
    if sock is not None:
        ready.register(sock, events)
    if not ready.poll(max(deadline - monotonic(), 0) * 1000):
        raise TimeoutError


def pause(wait: Wait, seconds: float = TURN_SECONDS) -> None:
    """Wait so long for nothing: for another attempt, or to let others run."""
    with suppress(TimeoutError):
        wait(None, 0, monotonic() + seconds)


def retry_when_ready(
    operation: Callable[[], T], wait: Wait, sock: socket, deadline: float, event: int = select.POLLIN
) -> T:
    """Call a non-blocking socket's operation until it does not have to wait. Raises what a `Wait` raises."""
    while True:
        try:
            return operation()
        except BlockingIOError:
            wait(sock, event, deadline)
        except ssl.SSLWantReadError:
            wait(sock, select.POLLIN, deadline)
        except ssl.SSLWantWriteError:
            wait(sock, select.POLLOUT, deadline)


def start_thread(do: Callable[[], None]) -> None:
    """Run a function in a native thread, also where gevent has patched threads to be greenlets."""
    get_original("_thread", "start_new_thread")(do, ())


def find(host: str, port: int) -> list[Any]:
    """Look a name up in a native thread. gevent's own function would wait for one of the ten threads of its pool."""
    look_up = sockets.getaddrinfo
    if look_up is gevent.socket.getaddrinfo:
        look_up = get_original("socket", "getaddrinfo")
    return look_up(host, port, type=sockets.SOCK_STREAM)


class LoopWait:
    """A `Wait` for the greenlet that makes it.

    What is the same from event to event is kept: the watcher of the socket stays started, and the timer of the deadline
    is only looked at again when it rings.
    """

    def __init__(self) -> None:
        """Wait for nothing yet."""
        self._greenlet, self._hub = gevent.getcurrent(), gevent.get_hub()
        self._ready: Any = None
        self._is_started = self._is_waiting = False
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
        if not self._is_started:
            self._ready.start(self._wake)
            self._is_started = True
        self._is_waiting = True
        try:
            self._hub.switch()
        finally:
            self._is_waiting, self._deadline = False, _NEVER

    def end(self, reason: BaseException, thrown: BaseException) -> None:
        """Throw into the greenlet, from the event loop. Whatever waits from then on gets the reason."""
        self._end = reason
        self._greenlet.throw(thrown)

    def close(self) -> None:
        """Let go of what watches."""
        for watcher in (self._ready, self._timer):
            if watcher is not None:
                watcher.close()
        self._ready = self._sock = self._timer = None
        self._is_started, self._rings_at = False, _NEVER

    def _watch(self, sock: socket, events: int) -> None:
        """Watch another socket. Not its number: a new socket may get that of one that was closed, unknown to libev."""
        if self._ready is not None:
            self._ready.close()
        flag = READ if events == select.POLLIN else WRITE
        self._ready = self._hub.loop.io(sock.fileno(), flag, priority=_BEFORE_TIMERS)
        self._is_started, self._sock, self._events = False, sock, events

    def _wake(self) -> None:
        """Go on in the greenlet, from the event loop; if it is busy, watch no more until it waits again."""
        if self._is_waiting:
            self._greenlet.switch()
        else:
            self._ready.stop()
            self._is_started = False

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
