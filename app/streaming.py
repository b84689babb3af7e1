"""An answer -> a response: its first piece before the headers, the watch on the client, the seats, and the drain."""

import errno
import logging
import select
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from threading import Lock
from typing import Any

import gevent
from flask import Response
from gevent.monkey import get_original, is_module_patched

from app.answer import Answer, Failure, Gone, Piece
from app.wire import Wire

HEADERS = {
    "X-Accel-Buffering": "no",
    "Cache-Control": "no-store, no-transform",
}

_READ = 1
"""libev's flag for "readable", which an epoll is when something happened to what it watches."""

_CAN_WATCH = is_module_patched("socket") and hasattr(select, "EPOLLRDHUP")

log = logging.getLogger(__name__)


class Streams:
    """The chats under way in this process: how many there may be, and how they end when the process must."""

    def __init__(self, most: int, drain_seconds: float) -> None:
        """Take how many chats may be under way at once, and how long they may go on when the process must end."""
        self._most = most
        self.drain_seconds = drain_seconds
        self._running: set[Watch] = set()
        self._lock = Lock()
        self.draining = False

    @contextmanager
    def seat(self, environ: dict[str, Any]) -> "Iterator[Watch]":
        """Take a seat for one chat, with a watch to start. Raises `Failure` when there is none to be had."""
        watch = Watch(environ)
        with self._lock:
            self._refuse_when_full()
            self._running.add(watch)
        try:
            yield watch
        finally:
            watch.stop()
            self._running.discard(watch)

    def drain(self) -> None:
        """Take no more chats."""
        self.draining = True

    def end(self) -> None:
        """End the chats that still run, each with its honest end; needs gevent."""
        for watch in list(self._running):
            watch.interrupt()

    def _refuse_when_full(self) -> None:
        if self.draining:
            message = "The service is restarting. Please try again in a few seconds."
            raise Failure(503, "draining", message, {"Retry-After": "5"})
        if len(self._running) >= self._most:
            message = "The service is answering as many chats as it can. Please try again in a moment."
            raise Failure(503, "shed", message, {"Retry-After": "1"})


class Watch:
    """Throws into the request's greenlet, wherever it waits, when the client leaves or the process must end.

    The client's socket is watched for its far end's close alone (RDHUP on an epoll of its own), not for reading:
    bytes of a pipelined request would wake that for ever, and belong to the server's parser. A half-closed client
    counts as gone, as it does for nginx. Without gevent, or without the server's socket, a failed write tells.
    """

    def __init__(self, environ: dict[str, Any]) -> None:
        """Look at the request; nothing is watched yet."""
        self._socket = environ.get("gunicorn.socket")
        self._is_http_1_0 = environ.get("SERVER_PROTOCOL") == "HTTP/1.0"
        self._greenlet = gevent.getcurrent()
        self._stop: Callable[[], None] | None = None
        self.writing = False

    def start(self) -> None:
        """Begin to watch, from the greenlet that is to be thrown into."""
        if self._socket is None or not _CAN_WATCH:
            return
        epoll = self._epoll = get_original("select", "epoll")()
        epoll.register(self._socket.fileno(), select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR)
        watcher = gevent.get_hub().loop.io(epoll.fileno(), _READ)

        def stop() -> None:
            watcher.stop()
            watcher.close()
            epoll.close()

        self._stop = stop
        watcher.start(self._look)

    def stop(self) -> None:
        """Watch no longer; may be called twice."""
        if self._stop is not None:
            stop, self._stop = self._stop, None
            stop()

    def interrupt(self) -> None:
        """End the chat because the process must."""
        gevent.get_hub().loop.run_callback(self._interrupt)

    def _interrupt(self) -> None:
        """Say so where the chat waits for its provider; where it writes, its connection can only be cut."""
        if self.writing:
            self.reset()
            self._throw(Gone())
        else:
            message = "The service is restarting, so the answer could not be finished. Please try again."
            self._throw(Failure(503, "draining", message, {"Retry-After": "5"}))

    def reset(self) -> None:
        """Make the connection end in a TCP reset where there is no last chunk to leave out, so that a cut shows."""
        if self._is_http_1_0 and self._socket is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _look(self) -> None:
        """Throw if the client has left. libev may wake for nothing (its manual, "spurious readiness")."""
        if self._epoll.poll(0):
            self._throw(Gone())

    def _throw(self, reason: Exception) -> None:
        """Throw, from the event loop, and only while the chat is still the greenlet's."""
        if self._stop is not None:
            self.stop()
            self._greenlet.throw(reason)


def respond(answer: Answer, wire: Wire, watch: Watch, resources: ExitStack) -> Response:
    """Stream an answer to the client.

    Waits for the answer's first pieces, so that a refusal still has its status. From then on the `resources` are the
    response's, and are closed when it is over, however it ends. Raises `Failure`.
    """
    first = next(answer)
    honest = Answer(_honest(chain([first], answer)), answer.close)
    kept = resources.pop_all()
    response = Response(_body(wire.frames(honest), watch, kept), headers={**HEADERS, **wire.HEADERS})
    response.call_on_close(kept.close)
    return response


def _honest(reads: Iterator[list[Piece]]) -> Iterator[list[Piece]]:
    """Make a failure of every exception, our own mistakes included, so that each protocol can tell it."""
    try:
        yield from reads
    except (Failure, Gone):
        raise
    except Exception as error:
        log.exception("An answer broke on a mistake of ours")
        raise Failure(500, "internal", "An unexpected error occurred") from error


def _body(frames: Iterator[bytes], watch: Watch, resources: ExitStack) -> Iterator[bytes]:
    """Pass the frames on. A failure that the protocol could not tell cuts the connection without its last chunk."""
    with resources:
        try:
            for frame in frames:
                watch.writing = True
                yield frame
                watch.writing = False
        except Failure as failure:
            watch.reset()
            raise ConnectionResetError(errno.ECONNRESET, "the answer was cut") from failure
