"""An answer -> a response: its first piece before the headers, the seats, and the drain."""

import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from threading import Lock
from time import monotonic, sleep
from typing import Any
from weakref import WeakSet

from flask import Response

from .answer import Answer, Piece
from .config import Settings
from .failure import Code, Failure, Gone
from .record import Record
from .watch import Departures, Ending, Watch

HEADERS = {
    "X-Accel-Buffering": "no",
    "Cache-Control": "no-store, no-transform",
}

Frames = Callable[[Answer], Iterator[bytes]]
"""An answer -> the bytes of a client protocol."""

_LAST_SECONDS = 3
"""How long the chats may take to tell their honest end."""

log = logging.getLogger(__name__)

_made: "WeakSet[Streams]" = WeakSet()


def of_this_process() -> list["Streams"]:
    """Return those of every application here, for the server to drain, whatever stands around an application."""
    return list(_made)


def sockets() -> set[int]:
    """Return the ids of the sockets on which gunicorn serves the chats under way."""
    return {number for streams in _made for number in streams.sockets()}


def drain() -> None:
    """Take no more chats and return when those under way are over; those that last too long get their honest end."""
    for streams in (running := of_this_process()):
        streams.drain()
    _wait_until_empty(running, max((streams.drain_seconds for streams in running), default=0))
    for streams in running:
        streams.end()
    _wait_until_empty(running, _LAST_SECONDS)


def _wait_until_empty(running: "list[Streams]", seconds: float) -> None:
    deadline = monotonic() + seconds
    while not all(streams.is_empty for streams in running) and monotonic() < deadline:
        sleep(0.05)


class Streams:
    """The chats under way in this process: how many there may be, and how they end when the process must."""

    def __init__(self, settings: Settings) -> None:
        """Take how many chats may be under way at once, and how long they may go on when the process must end."""
        self._most = settings.max_streams
        self._write_seconds = settings.write_timeout_seconds
        self.drain_seconds = settings.drain_seconds
        self._departures = Departures()
        self._ending = Ending()
        self._requests = 0
        self._running: dict[Watch, int] = {}
        self._lock = Lock()
        self.draining = False
        _made.add(self)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count one chat as under way, whether or not it finds a seat; put around its record, until that is written."""
        with self._lock:
            self._requests += 1
        try:
            yield
        finally:
            with self._lock:
                self._requests -= 1

    @contextmanager
    def seat(self, environ: dict[str, Any]) -> "Iterator[Watch]":
        """Take a seat for one chat, with a watch to start. Raises `Failure` when there is none to be had."""
        watch = Watch(environ, self._departures, self._ending, self._write_seconds)
        with self._lock:
            self._refuse_when_full()
            self._running[watch] = id(environ.get("gunicorn.socket"))
        try:
            yield watch
        finally:
            del self._running[watch]
            watch.stop()

    def drain(self) -> None:
        """Take no more chats."""
        self.draining = True

    def end(self) -> None:
        """End the chats that still run, each with its honest end; may be called again for chats that began since."""
        self._ending.begin()
        for watch in list(self._running):
            watch.interrupt()

    def sockets(self) -> list[int]:
        """Return the ids of the sockets on which gunicorn serves the chats under way."""
        return list(self._running.values())

    @property
    def is_empty(self) -> bool:
        """Whether no chat is under way, and the record of each that was is written."""
        return not self._requests

    def _refuse_when_full(self) -> None:
        if self.draining:
            message = "The service is restarting. Please try again in a few seconds."
            raise Failure(Code.DRAINING, message)
        if len(self._running) >= self._most:
            message = "The service is answering as many chats as it can. Please try again in a moment."
            raise Failure(Code.SHED, message)


def respond(answer: Answer, frames: Frames, watch: Watch, record: Record, resources: ExitStack) -> Response:
    """Stream an answer to the client, as the `frames` of its protocol; the protocol's own headers are the caller's.

    Waits for the answer's first pieces, so that a refusal still has its status. From then on the `resources` are the
    response's, and are closed when it is over, however it ends. Raises `Failure`.
    """
    first = next(answer)
    record.status = 200
    kept = resources.pop_all()
    told = frames(Answer(_honest(chain([first], answer), record), answer.close))
    body = _Body(_cut_on_failure(told, watch, record, kept), kept)
    return Response(body, headers=HEADERS, direct_passthrough=True)


class _Body:
    """What the server iterates over; its close lets go of everything, also when nothing was iterated."""

    def __init__(self, frames: Generator[bytes], resources: ExitStack) -> None:
        self._frames = frames
        self._resources = resources

    def __iter__(self) -> Iterator[bytes]:
        return self._frames

    def close(self) -> None:
        self._frames.close()
        self._resources.close()


def _honest(reads: Iterator[list[Piece]], record: Record) -> Iterator[list[Piece]]:
    """Make a failure of every exception, our own mistakes included, so that each protocol can tell it."""
    try:
        yield from reads
    except Failure as failure:
        record.outcome = failure.code
        raise
    except Exception as error:
        log.exception("An answer broke on a mistake of ours")
        record.outcome = Code.INTERNAL
        raise Failure(Code.INTERNAL, "An unexpected error occurred") from error


def _cut_on_failure(frames: Iterator[bytes], watch: Watch, record: Record, resources: ExitStack) -> Generator[bytes]:
    """Pass the frames on. A failure that the protocol could not tell cuts the connection without its last chunk."""
    with resources:
        watch.client.begin()
        try:
            for frame in frames:
                record.bytes_out += len(frame)
                watch.writing = True
                yield frame
                watch.writing = False
        except GeneratorExit:  # thrown where the server was writing, and by the server into this
            record.outcome = record.outcome or watch.outcome
            raise
        except Gone as gone:
            record.outcome = record.outcome or gone.outcome
            watch.cut()
        except Exception as error:
            if not isinstance(error, Failure):
                log.exception("An answer could not be told for a mistake of ours")
                record.outcome = Code.INTERNAL
            watch.client.flush()
            watch.cut()
        else:
            watch.client.end()
            record.outcome = record.outcome or "ok"
