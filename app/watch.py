"""The watch on the reader: a chat learns, whatever it waits for, that its client has left or its process must end."""

import errno
import select
import socket
import struct
from collections.abc import Callable
from time import monotonic
from typing import Any

import gevent
from gevent.monkey import get_original, is_module_patched

from app.answer import Failure, Gone
from app.upstream.asking import Wait, wait_alone

_READ, _WRITE = 1, 2
"""libev's flags for what a descriptor is ready for; an epoll is readable when something happened to what it watches."""

_BEFORE_TIMERS, _BEFORE_OTHERS = 1, 2
"""libev's priorities. What has come in time is not late, though the loop was; and to a client who is known to be gone
nothing is written, which would be an error in the server's log."""

_AT_ONCE = 10
"""How many departures are dealt with before others get their turn; thousands may leave in one moment."""

_NEVER = float("inf")

_CAN_SEE = hasattr(select, "POLLRDHUP")
_CAN_THROW = is_module_patched("socket") and hasattr(select, "EPOLLRDHUP")


class Departures:
    """What throws into greenlets: one epoll for all clients of the process, in gevent's loop.

    Clients' sockets are watched for their far end's close alone (RDHUP), not for reading: bytes of a pipelined request
    would wake that for ever, and belong to the server's parser.
    """

    def __init__(self) -> None:
        """Watch nobody; the epoll is made with the first client, and so after the server's fork."""
        self._epoll: Any = None
        self._watches: dict[int, Watch] = {}

    def add(self, fd: int, watch: "Watch") -> None:
        """Tell `watch` when the client behind a descriptor leaves."""
        if self._epoll is None:
            self._epoll = get_original("select", "epoll")()
            self._watcher = gevent.get_hub().loop.io(self._epoll.fileno(), _READ, ref=False, priority=_BEFORE_OTHERS)
            self._watcher.start(self._look)
        self._watches[fd] = watch
        self._epoll.register(fd, select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR)

    def remove(self, fd: int) -> None:
        """Forget a client."""
        del self._watches[fd]
        self._epoll.unregister(fd)

    def _look(self) -> None:
        for fd, _ in self._epoll.poll(0, _AT_ONCE):
            if fd in self._watches:  # the departure before this one may have ended it
                self._watches[fd].tell_departure()


class Alarm:
    """A deadline in gevent's loop that costs nothing to move: its timer is only looked at again when it rings."""

    def __init__(self, throw: Callable[[Exception], None]) -> None:
        """Take what throws into the greenlet."""
        self._throw = throw
        self._timer: Any = None
        self._rings_at = _NEVER
        self._deadline = _NEVER

    def set(self, deadline: float) -> None:
        """Throw a `TimeoutError` at the deadline."""
        self._deadline = deadline
        if deadline < self._rings_at:
            self._start(deadline)

    def unset(self) -> None:
        """Throw nothing."""
        self._deadline = _NEVER

    def close(self) -> None:
        """Let go of the timer."""
        if self._timer is not None:
            self._timer.close()

    def _start(self, at: float) -> None:
        self.close()
        self._rings_at = at
        self._timer = gevent.get_hub().loop.timer(max(at - monotonic(), 0))
        self._timer.start(self._ring)

    def _ring(self) -> None:
        self._rings_at = _NEVER
        if monotonic() >= self._deadline:
            self._throw(TimeoutError())
        elif self._deadline < _NEVER:
            self._start(self._deadline)


class Watch:
    """The watch on one chat's client.

    Where gevent serves, a departure is thrown into the request's greenlet wherever it is; where threads do, a thread
    that waits for its provider waits for that, too; anywhere else, a failed write tells. A half-closed client counts as
    gone, as it does for nginx. One who takes nothing of what was sent for so long is cut by the kernel, and has then
    left like any other.
    """

    def __init__(self, environ: dict[str, Any], departures: Departures, write_seconds: float) -> None:
        """Look at the request; nothing is watched yet."""
        self._socket: Any = environ.get("gunicorn.socket")
        self._is_http_1_0 = environ.get("SERVER_PROTOCOL") == "HTTP/1.0"
        self._departures = departures
        self._write_milliseconds = int(write_seconds * 1000)
        self._greenlet: Any = None
        self._hub: Any = None
        self._fd = -1
        self._alarm = Alarm(self._throw)
        self._ready: Any = None
        self._ready_for: tuple[int, int] | None = None
        self.writing = False
        self.outcome: str | None = None
        """Why the chat was ended from here, where it was by the reader's fault or the drain."""

    @property
    def wait(self) -> Wait:
        """How the chat is to wait for its provider."""
        if self._socket is None or not _CAN_SEE:
            return wait_alone
        return self._wait_in_loop if _CAN_THROW else self._wait_in_thread

    def start(self) -> None:
        """Begin to watch, from the greenlet that is to be thrown into."""
        if self._socket is None:
            return
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self._write_milliseconds)
        if _CAN_THROW:
            self._greenlet, self._hub = gevent.getcurrent(), gevent.get_hub()
            self._fd = self._socket.fileno()
            self._departures.add(self._fd, self)

    def stop(self) -> None:
        """Watch no longer; may be called twice."""
        if self._greenlet is not None:
            self._greenlet = None
            self._departures.remove(self._fd)
            self._alarm.close()
            if self._ready is not None:
                self._ready.close()

    def interrupt(self) -> None:
        """End the chat because the process must."""
        gevent.get_hub().loop.run_callback(self._interrupt)

    def _interrupt(self) -> None:
        """Say so where the chat waits for its provider; where it writes, its connection can only be cut."""
        message = "The service is restarting, so the answer could not be finished. Please try again."
        failure = Failure(503, "draining", message, {"Retry-After": "5"})
        if self.writing:
            self._prepare_reset()
            self._throw(Gone("draining"))
        else:
            self._throw(failure)

    def reset(self) -> None:
        """End the connection in a TCP reset where there is no last chunk to leave out, so that a cut shows.

        Closed here, because a server may say farewell (FIN) before it closes, and that is how a whole answer ends.
        """
        if self._prepare_reset():
            self.stop()
            self._socket.close()

    def _prepare_reset(self) -> bool:
        if self._is_http_1_0 and self._socket is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return True
        return False

    def tell_departure(self) -> None:
        """Throw, from the event loop."""
        self._throw(self._departure())

    def _throw(self, reason: Exception) -> None:
        """Throw, from the event loop, and only while the chat is still the greenlet's."""
        if (greenlet := self._greenlet) is not None:
            if isinstance(reason, Gone):
                self.outcome = reason.outcome
            if not isinstance(reason, TimeoutError):
                self.stop()
            greenlet.throw(reason)

    def _wait_in_loop(self, sock: socket.socket | None, events: int, deadline: float) -> None:
        """Wait in gevent's loop, in which the departure and the deadline are thrown."""
        if sock is None:
            gevent.sleep(deadline - monotonic())
            raise TimeoutError
        if self._ready_for != (wanted := (sock.fileno(), events)):
            self._renew(*wanted)
        self._alarm.set(deadline)
        try:
            self._hub.wait(self._ready)
        finally:
            self._alarm.unset()

    def _renew(self, fd: int, events: int) -> None:
        if self._ready is not None:
            self._ready.close()
        flag = _READ if events == select.POLLIN else _WRITE
        self._ready = self._hub.loop.io(fd, flag, priority=_BEFORE_TIMERS)
        self._ready_for = fd, events

    def _wait_in_thread(self, sock: socket.socket | None, events: int, deadline: float) -> None:
        """Wait for the provider's socket and for the departure of the client at once."""
        ready = select.poll()
        ready.register(self._socket, select.POLLRDHUP)
        if sock is not None:
            ready.register(sock, events)
        found = ready.poll(max(deadline - monotonic(), 0) * 1000)
        if not found:
            raise TimeoutError
        if any(fd == self._socket.fileno() for fd, _ in found):
            raise self._departure()

    def _departure(self) -> Gone:
        """Tell one who hung up from one who stopped reading."""
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return Gone("client_stalled") if error == errno.ETIMEDOUT else Gone()
