"""The watch on the reader: a chat learns, whatever it waits for, that its client has left or its process must end."""

import errno
import os
import select
import socket
from threading import Lock
from time import monotonic
from typing import Any

import gevent
from gevent.monkey import get_original, is_module_patched

from ..failure import Code, Failure, Gone
from ..wait import READ, LoopWait, Wait
from . import hosts
from .hosts import NOBODY, Client

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


class Ending:
    """The end of all chats that wait in threads: a pipe with a byte in it, which nobody reads."""

    def __init__(self) -> None:
        """Open nothing yet: a server may fork before the first chat."""
        self._pipe: tuple[int, int] | None = None
        self._has_begun = False
        self._lock = Lock()

    def fileno(self) -> int:
        """Return what is readable from `begin` on."""
        with self._lock:
            if self._pipe is None:
                self._pipe = os.pipe()
            return self._pipe[0]

    def begin(self) -> None:
        """Wake every thread that waits, and each that will."""
        self.fileno()
        if self._pipe is not None and not self._has_begun:
            self._has_begun = os.write(self._pipe[1], b"0") > 0


class Watch:
    """The watch on one chat's client.

    Where gevent serves, a departure is thrown into the request's greenlet wherever it is; where threads do, a thread
    that waits for its provider waits for that, too; where the client's socket is not known, a failed write tells. A
    half-closed client counts as gone, as it does for nginx. One who takes nothing of what was sent for so long is cut
    by the kernel, and has then left like any other.
    """

    def __init__(self, environ: dict[str, Any], departures: Departures, ending: Ending, write_seconds: float) -> None:
        """Take the request; nothing is watched yet."""
        self._environ = environ
        self._departures = departures
        self._ending = ending
        self._write_seconds = write_seconds
        self.client = NOBODY
        self._loop_wait: LoopWait | None = None
        self._fd = -1
        self.writing = False
        self.outcome: str | None = None
        """Why the chat was ended from here, where that was not for a failure."""

    @property
    def wait(self) -> Wait:
        """How the chat is to wait for its provider."""
        return self._loop_wait or self._wait_in_thread

    def start(self) -> None:
        """Begin to watch, from the thread or the greenlet that serves the request. Raises `Gone`."""
        self.client = client = _client(self._environ)
        hosts.warn(self._environ, client)
        client.limit_writes(self._write_seconds)
        if not _CAN_THROW:
            self._ending.fileno()
        elif client.socket is not None:
            self._departures.add(client.socket.fileno(), self)
            self._fd = client.socket.fileno()
        if _CAN_THROW:
            self._loop_wait = LoopWait()

    def stop(self) -> None:
        """Watch no longer, and let go of the client."""
        self._unwatch()
        self.client.close()

    def _unwatch(self) -> None:
        if self._loop_wait is not None:
            self._loop_wait.close()
            self._loop_wait = None
        if self._fd >= 0:
            self._departures.remove(self._fd)
            self._fd = -1

    def interrupt(self) -> None:
        """End a greenlet's chat because the process must; threads wait for the `Ending`."""
        if _CAN_THROW:
            gevent.get_hub().loop.run_callback(self._interrupt)

    def _interrupt(self) -> None:
        """Say so where the chat waits for its provider; where it writes, its connection can only be cut."""
        self._end(Gone("draining") if self.writing else _draining())

    def tell_departure(self) -> None:
        """End the chat because its client has left."""
        self._end(self._departure())

    def _end(self, reason: Failure | Gone) -> None:
        """Throw, from the event loop, and only while the chat is still the greenlet's."""
        if (waiting := self._loop_wait) is not None:
            if isinstance(reason, Gone):
                self.outcome = reason.outcome
                self.client.begin()
            self._unwatch()
            waiting.end(reason, _for_the_server() if self.writing else reason)

    def cut(self) -> None:
        """End the client's connection in a way that shows, and raise what its server knows that by, if it does."""
        self._unwatch()
        self.client.cut()

    def _wait_in_thread(self, sock: socket.socket | None, events: int, deadline: float) -> None:
        """Wait for the provider's socket, the departure of the client and the end of the process at once."""
        client = self.client.socket
        ready = select.poll()
        ready.register(self._ending, select.POLLIN)
        if client is not None and _CAN_SEE:
            ready.register(client, select.POLLRDHUP)
        if sock is not None:
            ready.register(sock, events)
        found = {number for number, _ in ready.poll(max(deadline - monotonic(), 0) * 1000)}
        if client is not None and client.fileno() in found:
            raise self._departure()
        if self._ending.fileno() in found:
            raise _draining()
        if not found:
            raise TimeoutError

    def _departure(self) -> Gone:
        """Tell one who hung up from one who stopped reading."""
        error = self.client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return Gone("client_stalled") if error == errno.ETIMEDOUT else Gone()


def _client(environ: dict[str, Any]) -> Client:
    try:
        return Client(environ)
    except OSError as error:
        if error.errno == errno.EBADF:  # the server closed the socket before the request's turn came
            raise Gone from error
        raise


def _for_the_server() -> ConnectionResetError:
    """Return what a WSGI server that is writing takes for a client that left, and does not log."""
    return ConnectionResetError(errno.ECONNRESET, "the client left")


def _draining() -> Failure:
    message = "The service is restarting, so the answer could not be finished. Please try again."
    return Failure(Code.DRAINING, message)
