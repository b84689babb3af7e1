"""gunicorn's gevent worker: a connection's deadlines, and which connections close when there are too many."""

import errno
import os
import select
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from time import monotonic
from typing import Any

import gevent
from gevent.local import local
from gevent.monkey import get_original
from gunicorn.http.errors import ParseException
from gunicorn.workers.ggevent import GeventWorker

from .. import streaming
from .settings import SETTINGS

HEADER_SECONDS = SETTINGS.header_timeout_seconds
WRITE_SECONDS = SETTINGS.write_timeout_seconds
MAX_UNREAD_BYTES = 256 * 1024
"""How much of a refused request's body is read for the connection to serve another request."""
MAX_DISCARDED_BYTES = 12 * 1024 * 1024
"""How much is then thrown away, because a close before its end would take the answer from who sends first."""
UNREAD_SECONDS = 2
STEP_BYTES = 64 * 1024
TURN_SECONDS = 0.001
"""How long a connection whose next request is here already waits for its turn. Not 0, for which gevent runs dozens of
its callbacks before it looks at the sockets again."""
SPARE = 0.1
"""How much of the room for connections that serve no chat is kept free, by closing those that have waited longest."""
LEAST_SECONDS = 1
"""How long a connection has for what it does, however many there are: who has only just come is not closed again."""

_STOPPED = "the client stopped reading"
"""What the kernel's `ETIMEDOUT` means here. gunicorn would log its traceback, and passes over a reset."""


class Connection:
    """One client's connection: since when it is open, and whether a request has begun to come on it."""

    def __init__(self, sock: Any) -> None:
        """Begin with the wait for the first request."""
        self.socket = sock
        self.since = monotonic()
        self.seconds: float = HEADER_SECONDS
        self.is_new = True
        """Whether no request has been read from it yet."""
        self.has_ahead = False
        """Whether the next request's first bytes came behind the one before it."""
        self.go_on(has_begun=False)

    def go_on(self, *, has_begun: bool) -> None:
        """Begin with the next step: a wait for a request, or its head, or its answer."""
        self.has_begun = has_begun
        _connections.pop(self, None)
        _connections[self] = None

    def give_up(self) -> None:
        """End it from the event loop: whatever its greenlet waits for, it finds the connection closed."""
        _connections.pop(self, None)
        _shut_down(self.socket, socket.SHUT_RDWR)


_connections: dict[Connection, None] = {}
"""All that are open, in the order in which they went on."""
_socket = get_original("socket", "socket")
_own: Any = local()
"""What belongs to the greenlet of one connection."""


class Worker(GeventWorker):
    """gunicorn's gevent worker, whose deadline for headers is not the one for idle connections."""

    _looks_again = False

    def handle_exit(self, *_: Any) -> None:
        """Stop; begun in the loop, which a worker that is still booting has yet to start."""
        gevent.spawn(self._stop)

    def _stop(self) -> None:
        """Stop when those are taken who wait at the port, but do not wait long: others may always come."""
        for _ in range(100):
            gevent.sleep(0.01)
            if not any(map(_is_readable, self.sockets)):
                break
        self.alive = False

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve one connection."""
        _own.connection = connection = Connection(client)
        _set_write_deadline(client)
        gevent.get_hub().loop.run_callback(self._make_room)
        try:
            super(GeventWorker, self).handle(listener, client, addr)  # whose own would forget the deadline
        finally:
            _connections.pop(connection, None)

    def timeout_ctx(self) -> AbstractContextManager[None]:
        """Limit the wait for the connection's next request."""
        connection = _own.connection
        seconds, connection.seconds = connection.seconds, self.cfg.keepalive
        connection.go_on(has_begun=connection.has_ahead or _is_readable(connection.socket))
        if not self.alive:
            seconds = LEAST_SECONDS if connection.is_new else 0
        return _wait(connection, seconds)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> bool:
        """Answer one request, and keep the connection only if its body is read, or as good as read.

        gunicorn would take the rest of a refused body, however long, for as long as the connection may be idle.
        """
        connection, keeps = _own.connection, True
        connection.is_new = False
        connection.go_on(has_begun=True)
        try:
            super().handle_request(listener_name, req, sock, addr)
        except StopIteration:
            keeps = False
        except TimeoutError as error:
            raise ConnectionResetError(errno.ECONNRESET, _STOPPED) from error
        if not _is_read(req) or not keeps:
            raise StopIteration
        connection.has_ahead = req.unreader.buf.tell() > 0
        if connection.has_ahead:
            gevent.sleep(TURN_SECONDS)
        return True

    def _make_room(self) -> None:
        """While there are too many, close those that went on the longest ago, but none that has only just come.

        Chats are counted apart, and never closed: they have their own deadlines and their own limit.
        """
        if not self._is_crowded(0):
            return
        chats = streaming.sockets()
        youngest = monotonic() - LEAST_SECONDS
        for connection in [one for one in _connections if one.since < youngest and id(one.socket) not in chats]:
            if not self._is_crowded(len(chats)):
                return
            connection.give_up()
        self._look_again()

    def _is_crowded(self, chats: int) -> bool:
        return len(_connections) - chats > float(self.cfg.worker_connections - chats) * (1 - SPARE)

    def _look_again(self) -> None:
        if not self._looks_again:
            self._looks_again = True
            gevent.spawn_later(LEAST_SECONDS, self._look)

    def _look(self) -> None:
        self._looks_again = False
        self._make_room()


def give_up_idle() -> None:
    """Close the connections on which no request has begun to come. Who has only just connected has a moment for it."""
    youngest = monotonic() - LEAST_SECONDS
    waiting = [one for one in _connections if not one.has_begun]
    for connection in waiting:
        if not connection.is_new or connection.since < youngest:
            connection.give_up()
    if any(connection in _connections for connection in waiting):
        gevent.spawn_later(LEAST_SECONDS, give_up_idle)


def _set_write_deadline(client: Any) -> None:
    """Have the kernel give up who takes nothing; where there is no TCP, gevent must, which sees only large steps."""
    if client.family in (socket.AF_INET, socket.AF_INET6) and hasattr(socket, "TCP_USER_TIMEOUT"):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(WRITE_SECONDS * 1000))
    else:
        client.settimeout(WRITE_SECONDS)


def _is_read(req: Any) -> bool:
    """Tell whether a little reading brings the end of a request's body; if not, throw away what comes, for a while."""
    with gevent.Timeout(UNREAD_SECONDS, exception=False), suppress(ParseException, OSError):
        if not req.body.failed and len(req.body.read(MAX_UNREAD_BYTES)) < MAX_UNREAD_BYTES:
            return True
        _discard(req.unreader)
    return False


def _discard(source: Any) -> None:
    """Tell the client that the answer is whole, and read until it has seen that and closes."""
    _shut_down(source.sock, socket.SHUT_WR)
    discarded = 0
    while discarded < MAX_DISCARDED_BYTES and (data := source.chunk(STEP_BYTES)):
        discarded += len(data)


def _shut_down(sock: Any, how: int) -> None:
    """Shut a connection down below gevent, which would raise an error in who waits for it, and below TLS."""
    with suppress(OSError), _socket(fileno=os.dup(sock.fileno())) as copy:
        copy.shutdown(how)


def _is_readable(sock: Any) -> bool:
    poll = get_original("select", "poll")()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))


@contextmanager
def _wait(connection: Connection, seconds: float) -> Iterator[None]:
    """Wait so many seconds for a request's first byte, and from there HEADER_SECONDS for the rest of its headers."""
    loop = gevent.get_hub().loop
    first_byte = loop.io(connection.socket.fileno(), 1)
    idle, head = loop.timer(seconds), loop.timer(HEADER_SECONDS)

    def begin() -> None:
        first_byte.stop()
        idle.stop()
        connection.go_on(has_begun=True)
        head.start(connection.give_up)

    if connection.has_begun:
        begin()
    else:
        first_byte.start(begin)
        idle.start(connection.give_up)
    try:
        yield
    except TimeoutError as error:
        raise ConnectionResetError(errno.ECONNRESET, _STOPPED) from error
    finally:
        for watcher in (first_byte, idle, head):
            watcher.stop()
            watcher.close()
