"""gunicorn's gevent worker: a connection's deadlines, and which connections close when there are too many."""

import errno
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import gevent
from gevent.local import local
from gevent.monkey import get_original
from gunicorn.http.errors import ParseException
from gunicorn.workers.ggevent import GeventWorker

from app.server.settings import number

HEADER_SECONDS = number("HEADER_TIMEOUT_SECONDS", 10)
WRITE_SECONDS = number("WRITE_TIMEOUT_SECONDS", 30)
MAX_UNREAD_BYTES = 256 * 1024
UNREAD_SECONDS = 2
TURN_SECONDS = 0.001
"""How long a connection whose next request is here already waits for its turn. Not 0, for which gevent runs dozens of
its callbacks before it looks at the sockets again."""
SPARE = 0.1
"""How much of the room for connections is kept free, by closing those that have waited the longest for a request."""

_STOPPED = "the client stopped reading"
"""What the kernel's `ETIMEDOUT` means here. gunicorn would log its traceback, and passes over a reset."""

_connection = local()
_waiting: dict[Callable[[], None], bool] = {}
"""What gives up the wait for a request, the longest wait first; and whether the request has begun to come."""


class Worker(GeventWorker):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's gevent worker, whose deadline for headers is not the one for idle connections."""

    _open = 0

    def handle_exit(self, *_: Any) -> None:  # noqa: ANN401
        """Stop; begun in the loop, which a worker that is still booting has yet to start."""
        gevent.spawn(self._stop)

    def _stop(self) -> None:
        """Stop when those are taken who wait at the port, but do not wait long: others may always come."""
        for _ in range(100):
            gevent.sleep(0.01)
            if not any(map(_is_readable, self.sockets)):
                break
        self.alive = False

    def handle(self, listener: Any, client: Any, addr: Any) -> None:  # noqa: ANN401
        """Serve one connection."""
        _connection.socket, _connection.seconds, _connection.has_begun = client, HEADER_SECONDS, False
        _set_write_deadline(client)
        self._open += 1
        if self._is_crowded():
            gevent.get_hub().loop.run_callback(self._make_room)
        try:
            super(GeventWorker, self).handle(listener, client, addr)  # whose own would forget the deadline
        finally:
            self._open -= 1

    def timeout_ctx(self) -> AbstractContextManager[None]:
        """Limit the wait for the connection's next request."""
        seconds, _connection.seconds = _connection.seconds, self.cfg.keepalive
        has_begun = _connection.has_begun or _is_readable(_connection.socket)
        return _wait(_connection.socket, seconds if self.alive else 0, has_begun=has_begun)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> bool:  # noqa: ANN401
        """Answer one request, and keep the connection only if its body is read, or as good as read.

        gunicorn would take the rest of a refused body, however long, for as long as the connection may be idle.
        """
        try:
            super().handle_request(listener_name, req, sock, addr)
        except TimeoutError as error:
            raise ConnectionResetError(errno.ECONNRESET, _STOPPED) from error
        if not _is_read(req.body):
            raise StopIteration
        _connection.has_begun = req.unreader.buf.tell() > 0  # The next request's first bytes came behind this one.
        if _connection.has_begun:
            gevent.sleep(TURN_SECONDS)
        return True

    def _is_crowded(self) -> bool:
        return bool(self._open > self.cfg.worker_connections * (1 - SPARE))

    def _make_room(self) -> None:
        while self._is_crowded() and _waiting:
            next(iter(_waiting))()


def give_up_idle() -> None:
    """Close, from the event loop, the connections on which no request has begun to come."""
    for give_up in [give_up for give_up, has_begun in _waiting.items() if not has_begun]:
        give_up()


def _set_write_deadline(client: Any) -> None:  # noqa: ANN401
    """Have the kernel give up who takes nothing; where there is no TCP, gevent must, which sees only large steps."""
    if client.family in (socket.AF_INET, socket.AF_INET6) and hasattr(socket, "TCP_USER_TIMEOUT"):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(WRITE_SECONDS * 1000))
    else:
        client.settimeout(WRITE_SECONDS)


def _is_read(body: Any) -> bool:  # noqa: ANN401
    """Tell whether a little reading brings the end of a request's body."""
    unread = MAX_UNREAD_BYTES
    with (
        gevent.Timeout(UNREAD_SECONDS, exception=False) as late,
        _giving_up(late, has_begun=True),
        suppress(ParseException),  # a chunk that is none
    ):
        unread = len(body.read(MAX_UNREAD_BYTES))
    return unread < MAX_UNREAD_BYTES and not body.failed


def _is_readable(sock: Any) -> bool:  # noqa: ANN401
    poll = get_original("select", "poll")()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))


@contextmanager
def _giving_up(reason: gevent.Timeout, *, has_begun: bool) -> Iterator[Callable[[], None]]:
    """Let others end what this greenlet waits for, from the event loop."""
    greenlet = gevent.getcurrent()

    def give_up() -> None:
        if _waiting.pop(give_up, None) is not None:
            greenlet.throw(reason)

    _waiting[give_up] = has_begun
    try:
        yield give_up
    finally:
        _waiting.pop(give_up, None)


@contextmanager
def _wait(sock: Any, seconds: float, *, has_begun: bool) -> Iterator[None]:  # noqa: ANN401
    """Wait so many seconds for a request's first byte, and from there HEADER_SECONDS for the rest of its headers."""
    loop = gevent.get_hub().loop
    first_byte, deadline = loop.io(sock.fileno(), 1), loop.timer(HEADER_SECONDS)
    with (
        gevent.Timeout(seconds, exception=False) as waited,
        _giving_up(waited, has_begun=has_begun) as give_up,
    ):

        def begin() -> None:
            first_byte.stop()
            waited.cancel()
            _waiting[give_up] = True
            deadline.start(give_up)

        if has_begun:
            begin()
        else:
            first_byte.start(begin)
        try:
            yield
        except TimeoutError as error:
            raise ConnectionResetError(errno.ECONNRESET, _STOPPED) from error
        finally:
            for watcher in (first_byte, deadline):
                watcher.stop()
                watcher.close()
