"""The server's settings, its worker, and its drain (https://docs.gunicorn.org/en/stable/settings.html).

gevent patches before anything else is imported: a socket or a TLS context made earlier would block every stream.
"""

from gevent import monkey

monkey.patch_all()

import errno  # noqa: E402
import gc  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import resource  # noqa: E402
import secrets  # noqa: E402
import select  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from contextlib import AbstractContextManager, contextmanager, suppress  # noqa: E402
from importlib import import_module  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
from gevent.local import local  # noqa: E402
from gunicorn import util  # noqa: E402
from gunicorn.http.errors import ParseException  # noqa: E402
from gunicorn.workers.ggevent import GeventWorker  # noqa: E402


def _number(variable: str, default: int) -> float:
    value = os.environ.get(variable) or str(default)
    try:
        number = float(value)
    except ValueError:
        number = 0
    if not 0 < number < float("inf"):
        sys.exit(f"Sluice cannot start: {variable} must be a number above 0, not {value!r}.")
    return number


def _raise_descriptor_limit() -> None:
    """Open as many descriptors as the system allows: a chat takes two, and many systems begin with 1,024 in all."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # "unlimited" is refused in some places
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


_raise_descriptor_limit()


def _end_before_the_start() -> None:
    """End well if told to while the application is loaded: there is no port yet, and so nobody to say goodbye to."""
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):  # else gunicorn's, from then on
            signal.signal(number, lambda *_: os._exit(0))


_end_before_the_start()
preload_app = "--reload" not in [*sys.argv, *os.environ.get("GUNICORN_CMD_ARGS", "").split()]
"""The port is opened when the application is loaded and the database migrated, once, in the master: a platform sends
requests as soon as it is open. Workers are forked from there; new code needs a new master, by a restart or SIGUSR2."""

HEADER_SECONDS = _number("HEADER_TIMEOUT_SECONDS", 10)
MAX_UNREAD_BYTES = 256 * 1024
UNREAD_SECONDS = 2

worker_connections = int(_number("MAX_STREAMS", 400)) + 600
"""Above MAX_STREAMS, so that one chat too many is told so instead of waiting unaccepted."""
timeout = 60
"""How long the event loop may be stuck before the worker is replaced; no limit for a request."""
keepalive = 95
"""How long an idle connection stays open: longer than Heroku's router keeps it (90 s), so that it is never the router
that sends a request into a closing connection. Elsewhere gunicorn makes this the deadline for a request's headers too,
which is why the worker below has one of its own."""
graceful_timeout = 27
"""When the master kills what is left: chats have ended by DRAIN_SECONDS, and the platform kills at 30 s."""
limit_request_fields = 50
limit_request_field_size = 16 * 1024
"""Room for all cookies together: a Supabase session alone may take three."""
control_socket_disable = True

_STOPPED = "the client stopped reading"
"""What the kernel's `ETIMEDOUT` means here. gunicorn would log its traceback, and passes over a reset."""

_connection = local()
_idle: set[Callable[[], None]] = set()


class Worker(GeventWorker):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's gevent worker, whose deadline for headers is not the one for idle connections."""

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
        super().handle(listener, client, addr)

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
        return True


worker_class = Worker


def _is_read(body: Any) -> bool:  # noqa: ANN401
    """Tell whether a little reading brings the end of a request's body."""
    unread = MAX_UNREAD_BYTES
    with gevent.Timeout(UNREAD_SECONDS, exception=False), suppress(ParseException):  # a chunk that is none
        unread = len(body.read(MAX_UNREAD_BYTES))
    return unread < MAX_UNREAD_BYTES


def _is_readable(sock: Any) -> bool:  # noqa: ANN401
    poll = monkey.get_original("select", "poll")()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))


@contextmanager
def _wait(sock: Any, seconds: float, *, has_begun: bool) -> Iterator[None]:  # noqa: ANN401
    """Wait so many seconds for a request's first byte, and from there HEADER_SECONDS for the rest of its headers."""
    greenlet, loop = gevent.getcurrent(), gevent.get_hub().loop
    first_byte, deadline = loop.io(sock.fileno(), 1), loop.timer(HEADER_SECONDS)
    with gevent.Timeout(seconds, exception=False) as waited:

        def begin() -> None:
            first_byte.stop()
            waited.cancel()
            _idle.discard(give_up)
            deadline.start(give_up)

        def give_up() -> None:
            greenlet.throw(waited)

        if has_begun:
            begin()
        else:
            _idle.add(give_up)
            first_byte.start(begin)
        try:
            yield
        except TimeoutError as error:
            raise ConnectionResetError(errno.ECONNRESET, _STOPPED) from error
        finally:
            _idle.discard(give_up)
            for watcher in (first_byte, deadline):
                watcher.stop()
                watcher.close()


def post_fork(server: Any, worker: Any) -> None:  # noqa: ANN401
    """Take SIGTERM from the fork on, and what came in the moment since: gunicorn would lose it, and kill at the end."""
    signal.signal(signal.SIGTERM, worker.handle_exit)
    while not server.SIG_QUEUE.empty():
        if server.SIG_QUEUE.get() == signal.SIGTERM:
            worker.handle_exit()


def post_worker_init(worker: Any) -> None:  # noqa: ANN401
    """Begin to serve; and drain when the worker is told to stop, for which gunicorn has no hook: it kills streams."""
    worker.log.error_log.addFilter(_without_request)
    gevent.spawn(_drain, worker, import_module("app.streaming"))  # the worker's, which may be loaded anew
    gc.collect()
    gc.freeze()  # What was made by now stays: to look through it again and again took a tenth of the worker's time.


def _without_request(record: Any) -> bool:  # noqa: ANN401
    """Log that a request was no HTTP, but nothing of it: what stands in the wrong place may be a token."""
    if str(record.msg).startswith("Invalid request from ip="):
        record.msg = record.msg.partition(": ")[0]
    return True


def _drain(worker: Any, streaming: Any) -> None:  # noqa: ANN401
    while worker.alive:
        gevent.sleep(0.1)
    running = streaming.of_this_process()
    for streams in running:
        streams.drain()
    for give_up in list(_idle):
        gevent.get_hub().loop.run_callback(lambda give_up=give_up: give_up in _idle and give_up())
    gevent.sleep(max((streams.drain_seconds for streams in running), default=0))
    while True:  # a chat whose body was still coming begins only now
        for streams in running:
            streams.end()
        gevent.sleep(0.1)


_SENTENCES = {
    414: "The address is too long.",
    431: "The request's headers are too large.",
    500: "An unexpected error occurred",
    501: "The request's transfer encoding is not supported.",
}


def _write_error(sock: Any, status: int, reason: str, _message: str) -> None:  # noqa: ANN401
    """Answer what is not HTTP, or broke outside of the application, as the application answers errors."""
    message = _SENTENCES.get(status, "The request is not proper HTTP.")
    code = "internal" if status == 500 else "bad_body"  # noqa: PLR2004
    request_id = secrets.token_hex(16)
    body = json.dumps({"message": message, "code": code, "requestId": request_id})
    head = [
        f"HTTP/1.1 {status} {reason}",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        f"X-Request-ID: {request_id}",
    ]
    util.write_nonblock(sock, "\r\n".join([*head, "", body]).encode("latin-1"))


util.write_error = _write_error


def _write(sock: Any, data: bytes, chunked: bool = False) -> None:  # noqa: ANN401, FBT001, FBT002 - gunicorn's own
    """Send in one call, as gunicorn does in several: gevent's `sendall` asks the kernel for its buffer's size first."""
    if chunked:
        data = b"%X\r\n%b\r\n" % (len(data), data)
    sent = sock.send(data)
    if sent < len(data):
        sock.sendall(memoryview(data)[sent:])


util.write = _write
