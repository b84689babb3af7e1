"""One chat's stream: an answer -> a response, and the owner of all resources of the chat."""

import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack
from itertools import chain
from types import TracebackType
from typing import Self, TypeVar

from flask import Response

from ..answer import Answer, Piece
from ..failure import Code, Failure, Gone
from ..record import Record
from .watch import Watch

HEADERS = {
    "X-Accel-Buffering": "no",
    "Cache-Control": "no-store, no-transform",
}

Frames = Callable[[Answer], Iterator[bytes]]
"""An answer -> the bytes of a client protocol."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class Stream:
    """The owner of a chat's resources: its slots, its record, its watch, its connection to the provider.

    A context manager around the view. It releases all resources in reverse order, unless there is a response: the
    server then iterates over this object, which releases them at its end, in every case.
    """

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._held = ExitStack()
        self._frames: Generator[bytes] | None = None

    def hold(self, resource: AbstractContextManager[T]) -> T:
        """Enter a resource and hold it until the chat is over."""
        return self._held.enter_context(resource)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Release all resources, unless there is a response."""
        if self._frames is None:
            self._held.__exit__(kind, error, traceback)

    def respond(self, answer: Answer, frames: Frames, watch: Watch, record: Record) -> Response:
        """Stream an answer to the client in the `frames` of its protocol; the caller adds the protocol's headers.

        Waits for the first pieces of the answer, so that a refusal still gets its status. Raises `Failure`.
        """
        first = next(answer)
        record.status = 200
        told = frames(Answer(_with_failures(chain([first], answer), record), answer.close))
        self._frames = _cut_on_failure(told, watch, record, self._held)
        return Response(self, headers=HEADERS, direct_passthrough=True)

    def __iter__(self) -> Iterator[bytes]:
        """Return the bytes that the server writes."""
        return self._frames or iter(())

    def close(self) -> None:
        """Release all resources, also without an iteration. The server calls it at the end of a response."""
        if self._frames is not None:
            self._frames.close()
        self._held.close()


def _with_failures(reads: Iterator[list[Piece]], record: Record) -> Iterator[list[Piece]]:
    """Turn every exception, also an unhandled one, into a `Failure`, which every protocol can tell."""
    try:
        yield from reads
    except Failure as failure:
        record.outcome = failure.code
        raise
    except Exception as error:
        log.exception("Unhandled exception while reading an answer")
        record.outcome = Code.INTERNAL
        raise Failure(Code.INTERNAL, "An unexpected error occurred") from error


def _cut_on_failure(frames: Iterator[bytes], watch: Watch, record: Record, held: ExitStack) -> Generator[bytes]:
    """Pass the frames on. After a failure that the protocol raises, cut the connection without its last chunk."""
    with held:
        watch.client.begin()
        try:
            for frame in frames:
                record.bytes_out += len(frame)
                watch.writing = True
                yield frame
                watch.writing = False
        except GeneratorExit:  # The server closes the response: the client left while it was writing.
            record.outcome = record.outcome or watch.outcome
            raise
        except Gone as gone:
            record.outcome = record.outcome or gone.outcome
            watch.cut()
        except Exception as error:
            if not isinstance(error, Failure):
                log.exception("Unhandled exception while sending an answer")
                record.outcome = Code.INTERNAL
            watch.client.flush()
            watch.cut()
        else:
            watch.client.end()
            record.outcome = record.outcome or "ok"
