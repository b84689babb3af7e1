"""The watch on the client: its disconnect, or the end of the process, interrupts a chat wherever it waits."""

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
"""libev's highest priority. If a write came first, the server would log an error about the closed connection."""

_AT_ONCE = 10
"""How many disconnects are handled before other greenlets get their turn; thousands may come at once."""

_CAN_SEE = hasattr(select, "POLLRDHUP")
_CAN_THROW = is_module_patched("socket") and hasattr(select, "EPOLLRDHUP")


class Disconnects:
    """Disconnects under gevent: one epoll in its loop for the sockets of all clients.

    It waits for a close by the client alone (RDHUP), not for readable bytes: those of a pipelined request belong to the
    server's parser, and would wake the epoll again and again.
    """

    def __init__(self) -> None:
        """Start without an epoll: it is made with the first client, and so after the server has forked."""
        self._epoll: Any = None
        self._watches: dict[int, Watch] = {}

    def add(self, fd: int, watch: "Watch") -> None:
        """Watch a descriptor, and tell `watch` when its client disconnects."""
        if self._epoll is None:
            self._epoll = get_original("select", "epoll")()
            self._watcher = gevent.get_hub().loop.io(self._epoll.fileno(), READ, ref=False, priority=_BEFORE_OTHERS)
            self._watcher.start(self._look)
        self._epoll.register(fd, select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR)
        self._watches[fd] = watch

    def remove(self, fd: int) -> None:
        """Watch a descriptor no longer."""
        del self._watches[fd]
        self._epoll.unregister(fd)

    def _look(self) -> None:
        for fd, _ in self._epoll.poll(0, _AT_ONCE):
            if fd in self._watches:  # the one before may have ended this chat, too
                self._watches[fd].tell_disconnect()


class Ending:
    """The end of the process, for chats that wait in threads: a pipe, which is readable once the end has begun."""

    def __init__(self) -> None:
        """Open no pipe yet: a server may fork before the first chat."""
        self._pipe: tuple[int, int] | None = None
        self._has_begun = False
        self._lock = Lock()

    def fileno(self) -> int:
        """Return the descriptor that `begin` makes readable."""
        with self._lock:
            if self._pipe is None:
                self._pipe = os.pipe()
            return self._pipe[0]

    def begin(self) -> None:
        """Wake all threads that wait, now or later: the byte is never read."""
        self.fileno()
        if self._pipe is not None and not self._has_begun:
            self._has_begun = os.write(self._pipe[1], b"0") > 0


class Watch:
    """The watch on one chat's client.

    Under gevent, a disconnect is thrown into the greenlet of the request, wherever it waits. Otherwise a thread that
    waits for its provider waits for the disconnect as well. Without the client's socket, only a failed write shows it.
    A half-closed client counts as disconnected, as in nginx. The kernel breaks the connection of a client that reads
    nothing for `write_seconds`, which then is a disconnect, too.
    """

    def __init__(self, environ: dict[str, Any], disconnects: Disconnects, ending: Ending, write_seconds: float) -> None:
        """Take the environ of the request; nothing is watched yet."""
        self._environ = environ
        self._disconnects = disconnects
        self._ending = ending
        self._write_seconds = write_seconds
        self.client = NOBODY
        self._loop_wait: LoopWait | None = None
        self._fd = -1
        self.writing = False
        self.outcome: str | None = None
        """The chat's outcome if the watch ended it, other than by a failure."""

    @property
    def wait(self) -> Wait:
        """The function with which the chat waits for its provider."""
        return self._loop_wait or self._wait_in_thread

    def start(self) -> None:
        """Begin to watch, in the thread or greenlet of the request. Raises `Gone` if the client has left already."""
        self.client = client = _client(self._environ)
        hosts.warn(self._environ, client)
        client.limit_writes(self._write_seconds)
        if not _CAN_THROW:
            self._ending.fileno()
        elif client.socket is not None:
            self._disconnects.add(client.socket.fileno(), self)
            self._fd = client.socket.fileno()
        if _CAN_THROW:
            self._loop_wait = LoopWait()

    def stop(self) -> None:
        """Watch no longer, and release the client."""
        self._unwatch()
        self.client.close()

    def _unwatch(self) -> None:
        if self._loop_wait is not None:
            self._loop_wait.close()
            self._loop_wait = None
        if self._fd >= 0:
            self._disconnects.remove(self._fd)
            self._fd = -1

    def interrupt(self) -> None:
        """End a greenlet's chat because the process ends; threads wait for the `Ending`."""
        if _CAN_THROW:
            gevent.get_hub().loop.run_callback(self._interrupt)

    def _interrupt(self) -> None:
        """Raise a failure in a chat that waits for its provider; while it writes, its connection can only be cut."""
        self._end(Gone("draining") if self.writing else _draining())

    def tell_disconnect(self) -> None:
        """End the chat because its client has disconnected."""
        self._end(self._disconnect())

    def _end(self, reason: Failure | Gone) -> None:
        """Throw into the greenlet, from the event loop, but only while the greenlet still serves this chat."""
        if (waiting := self._loop_wait) is not None:
            if isinstance(reason, Gone):
                self.outcome = reason.outcome
                self.client.begin()
            self._unwatch()
            waiting.end(reason, _for_the_server() if self.writing else reason)

    def cut(self) -> None:
        """End the client's connection visibly. Raises the exception that its server expects, if there is one."""
        self._unwatch()
        self.client.cut()

    def _wait_in_thread(self, sock: socket.socket | None, events: int, deadline: float) -> None:
        """Wait for the provider's socket, the client's disconnect and the end of the process at once."""
        client = self.client.socket
        ready = select.poll()
        ready.register(self._ending, select.POLLIN)
        if client is not None and _CAN_SEE:
            ready.register(client, select.POLLRDHUP)
        if sock is not None:
            ready.register(sock, events)
        found = {number for number, _ in ready.poll(max(deadline - monotonic(), 0) * 1000)}
        if client is not None and client.fileno() in found:
            raise self._disconnect()
        if self._ending.fileno() in found:
            raise _draining()
        if not found:
            raise TimeoutError

    def _disconnect(self) -> Gone:
        """Return why the client is gone: it closed the connection, or stopped reading."""
        error = self.client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return Gone("client_stalled") if error == errno.ETIMEDOUT else Gone()


def _client(environ: dict[str, Any]) -> Client:
    try:
        return Client(environ)
    except OSError as error:
        if error.errno == errno.EBADF:  # the server closed the socket before the request had its turn
            raise Gone from error
        raise


def _for_the_server() -> ConnectionResetError:
    """Return the exception that a WSGI server takes for a disconnect while it writes, and does not log."""
    return ConnectionResetError(errno.ECONNRESET, "the client left")


def _draining() -> Failure:
    message = "The service is restarting, so the answer could not be finished. Please try again."
    return Failure(Code.DRAINING, message)
