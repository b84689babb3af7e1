"""gunicorn's gevent worker: the timeouts of a connection, and which connections close when there are too many.

The life of a connection:

| state  | it waits for                  | for at most         | event -> next state                               |
|--------|-------------------------------|---------------------|---------------------------------------------------|
| NEW    | the first request             | HEADER_SECONDS      | first byte -> ACTIVE                              |
| ACTIVE | the request's head, then the  | HEADER_SECONDS from | answered -> IDLE, or ACTIVE if the next request   |
|        | application                   | the first byte      | was pipelined, or closed                          |
| IDLE   | the next request (keep-alive) | `keepalive`         | first byte -> ACTIVE                              |

In a graceful shutdown, NEW waits for GRACE_SECONDS at most, and IDLE closes at once.
"""

import enum
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
"""How much of a refused request's body is read to keep the connection alive."""
MAX_LINGER_BYTES = 12 * 1024 * 1024
"""How much a lingering close then reads and discards: a close with unread bytes would be a reset, and a client that
sends all of its body first would lose the answer."""
LINGER_SECONDS = 2
"""The time limit of both."""
STEP_BYTES = 64 * 1024
TURN_SECONDS = 0.001
"""How long a pipelined request waits, so that other connections get a turn. Not 0: gevent would then run dozens of
callbacks before it checks the sockets again."""
SPARE_SHARE = 0.1
"""The share of the connections without a chat that is kept free: above it, the least recently active ones close."""
GRACE_SECONDS = 1
"""How long a new connection is safe from being closed for room or in a shutdown: its request may be on the way."""

_WRITE_TIMEOUT = "the client stopped reading"
"""The reason for the kernel's `ETIMEDOUT`. gunicorn would log its traceback; a reset it ignores."""


class State(enum.Enum):
    """What a connection is doing."""

    NEW = enum.auto()
    """No byte of a request has come yet."""
    ACTIVE = enum.auto()
    """A request is being received or answered."""
    IDLE = enum.auto()
    """A request was answered, and no byte of the next has come."""


class Connection:
    """One client's connection, its state, and when it was accepted."""

    def __init__(self, sock: Any) -> None:
        """Begin as NEW."""
        self.socket = sock
        self.accepted_at = monotonic()
        self.enter(State.NEW)

    def enter(self, state: State) -> None:
        """Enter a state, which makes this the most recently active connection."""
        self.state = state
        _connections.pop(self, None)
        _connections[self] = None

    def shut_down(self) -> None:
        """Shut the socket down from the event loop: the greenlet of the connection then reads its end."""
        _connections.pop(self, None)
        _shut_down(self.socket, socket.SHUT_RDWR)


_connections: dict[Connection, None] = {}
"""All open connections, the least recently active first."""
_socket = get_original("socket", "socket")
_poll = get_original("select", "poll")
_local: Any = local()
"""Its `connection` is that of the running greenlet: gunicorn passes none to `timeout_ctx`."""


class Worker(GeventWorker):
    """gunicorn's gevent worker, with one timeout for headers and another for idle connections."""

    _is_check_scheduled = False

    def handle_exit(self, *_: Any) -> None:
        """Begin the graceful shutdown, in a greenlet: a worker that still boots does not run its event loop yet."""
        gevent.spawn(self._stop)

    def _stop(self) -> None:
        """Stop when the accept queue is empty, or after a second: new connections may always come."""
        for _ in range(100):
            gevent.sleep(0.01)
            if not any(map(_is_readable, self.sockets)):
                break
        self.alive = False

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve one connection."""
        _local.connection = connection = Connection(client)
        _set_write_timeout(client)
        gevent.get_hub().loop.run_callback(self._make_room)
        try:
            super(GeventWorker, self).handle(listener, client, addr)  # GeventWorker's own resets the write timeout
        finally:
            _connections.pop(connection, None)

    def timeout_ctx(self) -> AbstractContextManager[None]:
        """Limit the wait for the connection's next request."""
        connection = _local.connection
        if connection.state is State.NEW:
            seconds = HEADER_SECONDS if self.alive else GRACE_SECONDS
        else:
            seconds = self.cfg.keepalive if self.alive else 0
        has_begun = connection.state is State.ACTIVE or _is_readable(connection.socket)
        connection.enter(State.ACTIVE if has_begun else connection.state)
        return _request_timeout(connection, seconds)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> bool:
        """Answer one request. The connection is kept alive only if little or nothing of the body is unread.

        gunicorn would read the rest of a refused body, however long, within the idle timeout of each read.
        """
        connection, is_kept = _local.connection, True
        connection.enter(State.ACTIVE)
        try:
            super().handle_request(listener_name, req, sock, addr)
        except StopIteration:
            is_kept = False
        except TimeoutError as error:
            raise ConnectionResetError(errno.ECONNRESET, _WRITE_TIMEOUT) from error
        if not _finish_body(req) or not is_kept:
            raise StopIteration
        if req.unreader.buf.tell() > 0:
            gevent.sleep(TURN_SECONDS)
        else:
            connection.enter(State.IDLE)
        return True

    def _make_room(self) -> None:
        """While there are too many connections, close the least recently active ones that are past their grace period.

        Chats are counted apart, and never closed: they have their own timeouts and their own limit.
        """
        if not self._is_crowded(0):
            return
        chats = streaming.sockets()
        latest = monotonic() - GRACE_SECONDS
        for connection in [one for one in _connections if one.accepted_at < latest and id(one.socket) not in chats]:
            if not self._is_crowded(len(chats)):
                return
            connection.shut_down()
        self._schedule_check()

    def _is_crowded(self, chats: int) -> bool:
        return len(_connections) - chats > float(self.cfg.worker_connections - chats) * (1 - SPARE_SHARE)

    def _schedule_check(self) -> None:
        if not self._is_check_scheduled:
            self._is_check_scheduled = True
            gevent.spawn_later(GRACE_SECONDS, self._check)

    def _check(self) -> None:
        self._is_check_scheduled = False
        self._make_room()


def close_idle() -> None:
    """Close the IDLE connections, and the NEW ones after their grace period."""
    latest = monotonic() - GRACE_SECONDS
    waiting = [one for one in _connections if one.state is not State.ACTIVE]
    for connection in waiting:
        if connection.state is State.IDLE or connection.accepted_at < latest:
            connection.shut_down()
    if any(connection in _connections for connection in waiting):
        gevent.spawn_later(GRACE_SECONDS, close_idle)


def _set_write_timeout(client: Any) -> None:
    """Limit how long the client may acknowledge nothing: by the kernel over TCP, else by gevent's timeout.

    The second sees progress only in large steps.
    """
    if client.family in (socket.AF_INET, socket.AF_INET6) and hasattr(socket, "TCP_USER_TIMEOUT"):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(WRITE_SECONDS * 1000))
    else:
        client.settimeout(WRITE_SECONDS)


def _finish_body(req: Any) -> bool:
    """Read the rest of a request's body, and return True; if it is long or broken, linger and return False."""
    with gevent.Timeout(LINGER_SECONDS, exception=False), suppress(ParseException, OSError):
        if not req.body.failed and len(req.body.read(MAX_UNREAD_BYTES)) < MAX_UNREAD_BYTES:
            return True
        _linger(req.unreader)
    return False


def _linger(source: Any) -> None:
    """Begin a lingering close: send the end of the answer, and discard what comes until the client closes too."""
    _shut_down(source.sock, socket.SHUT_WR)
    discarded = 0
    while discarded < MAX_LINGER_BYTES and (data := source.chunk(STEP_BYTES)):
        discarded += len(data)


def _shut_down(sock: Any, how: int) -> None:
    """Shut down a duplicate of the descriptor, below TLS and below gevent, which would fail the greenlet that waits."""
    with suppress(OSError), _socket(fileno=os.dup(sock.fileno())) as copy:
        copy.shutdown(how)


def _is_readable(sock: Any) -> bool:
    poll = _poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))


@contextmanager
def _request_timeout(connection: Connection, seconds: float) -> Iterator[None]:
    """Wait so many seconds for a request's first byte, and from there HEADER_SECONDS for the rest of its head."""
    loop = gevent.get_hub().loop
    first_byte = loop.io(connection.socket.fileno(), 1)
    idle, head = loop.timer(seconds), loop.timer(HEADER_SECONDS)

    def begin() -> None:
        first_byte.stop()
        idle.stop()
        connection.enter(State.ACTIVE)
        head.start(connection.shut_down)

    if connection.state is State.ACTIVE:
        head.start(connection.shut_down)
    else:
        first_byte.start(begin)
        idle.start(connection.shut_down)
    try:
        yield
    except TimeoutError as error:
        raise ConnectionResetError(errno.ECONNRESET, _WRITE_TIMEOUT) from error
    finally:
        for watcher in (first_byte, idle, head):
            watcher.stop()
            watcher.close()
