"""The watch on the reader: a chat learns, whatever it waits for, that its client has left or its process must end."""

import errno
import select
import socket
import struct
from time import monotonic
from typing import Any

import gevent
from gevent.monkey import get_original, is_module_patched

from app.answer import Failure, Gone
from app.upstream.asking import Wait, wait_alone
from app.waiting import READ, LoopWait

_BEFORE_OTHERS = 2
"""libev's highest priority: a write to a client who is known to be gone would be an error in the server's log."""

_AT_ONCE = 10
"""How many departures are dealt with before others get their turn; thousands may leave in one moment."""

_CAN_SEE = hasattr(select, "POLLRDHUP")
_CAN_THROW = is_module_patched("socket") and hasattr(select, "EPOLLRDHUP")


class Departures:
    """Who has left: one epoll, in gevent's loop, for all clients of the process.

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
            self._watcher = gevent.get_hub().loop.io(self._epoll.fileno(), READ, ref=False, priority=_BEFORE_OTHERS)
            self._watcher.start(self._look)
        self._epoll.register(fd, select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR)
        self._watches[fd] = watch

    def remove(self, fd: int) -> None:
        """Forget a client."""
        del self._watches[fd]
        self._epoll.unregister(fd)

    def _look(self) -> None:
        for fd, _ in self._epoll.poll(0, _AT_ONCE):
            if fd in self._watches:  # the departure before this one may have ended it
                self._watches[fd].tell_departure()


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
        self._loop_wait: LoopWait | None = None
        self._fd = -1
        self.writing = False
        self.outcome: str | None = None
        """Why the chat was ended from here, where that was not for a failure."""

    @property
    def wait(self) -> Wait:
        """How the chat is to wait for its provider."""
        if self._loop_wait is not None:
            return self._loop_wait
        return self._wait_in_thread if self._socket is not None and _CAN_SEE else wait_alone

    def start(self) -> None:
        """Begin to watch, from the greenlet that is to be thrown into."""
        if self._socket is None:
            return
        if hasattr(socket, "TCP_USER_TIMEOUT") and self._socket.family in (socket.AF_INET, socket.AF_INET6):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self._write_milliseconds)
        if _CAN_THROW:
            self._fd = self._socket.fileno()
            self._departures.add(self._fd, self)
            self._loop_wait = LoopWait()

    def stop(self) -> None:
        """Watch no longer; may be called twice."""
        if self._loop_wait is not None:
            self._loop_wait.close()
            self._loop_wait = None
            self._departures.remove(self._fd)

    def interrupt(self) -> None:
        """End the chat because the process must."""
        gevent.get_hub().loop.run_callback(self._interrupt)

    def _interrupt(self) -> None:
        """Say so where the chat waits for its provider; where it writes, its connection can only be cut."""
        message = "The service is restarting, so the answer could not be finished. Please try again."
        told = Failure(503, "draining", message, {"Retry-After": "5"})
        self._end(Gone("draining") if self.writing else told)

    def tell_departure(self) -> None:
        """End the chat because its client has left."""
        self._end(self._departure())

    def _end(self, reason: Failure | Gone) -> None:
        """Throw, from the event loop, and only while the chat is still the greenlet's."""
        if (waiting := self._loop_wait) is not None:
            if isinstance(reason, Gone):
                self.outcome = reason.outcome
                self._reset_on_close()
            self.stop()
            waiting.end(reason)

    def reset(self) -> None:
        """End the connection in a TCP reset where there is no last chunk to leave out, so that a cut shows.

        Closed here, because a server may say farewell (FIN) before it closes, and that is how a whole answer ends.
        """
        if self._reset_on_close():
            self.stop()
            self._socket.close()

    def _reset_on_close(self) -> bool:
        if self._is_http_1_0 and self._socket is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return True
        return False

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
