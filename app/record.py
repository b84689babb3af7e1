"""The record of one chat, never its text: written once, at the end of the chat, to a list of sinks."""

import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from time import monotonic
from types import TracebackType
from typing import Self

import msgspec

from .failure import Code, Failure, Gone
from .log import LogStream
from .upstream.call import Trace

log = logging.getLogger(__name__)
_stdout = LogStream("stdout", '{"event": "log_lost", "lines": %d}')
_handler = logging.StreamHandler(_stdout)


def start_log() -> None:
    """Log the records to the standard output, and our warnings to the standard error.

    If an application around this one has configured logging, they go to its handlers instead.
    """
    log.setLevel(logging.INFO)
    ours = logging.getLogger(__name__.partition(".")[0])
    if ours.hasHandlers() or log.hasHandlers():
        return
    log.addHandler(_handler)
    log.propagate = False
    ours.addHandler(logging.StreamHandler(LogStream("stderr")))
    ours.propagate = False


class Record:
    """The facts about one chat. A context manager around the whole chat, which at its end calls the sinks once."""

    def __init__(self, request_id: str, provider: str, sinks: "Iterable[Sink]" = ()) -> None:
        """Begin with the request; the chat sets the other attributes when they are known."""
        self.started = monotonic()
        self.ended: float | None = None
        self.request_id = request_id
        self.provider = provider
        self._sinks = sinks
        self.trace = Trace()
        self.user: str | None = None
        self.model: str | None = None
        self.key_source: str | None = None
        self.mode: str | None = None
        self.outcome: str | None = None
        self.status: int | None = None
        self.bytes_out = 0

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Write the record to its sinks."""
        outcome, status = _outcome(error)
        self.outcome = self.outcome or outcome
        self.status = self.status or status
        self.ended = monotonic()
        for sink in self._sinks:
            sink(self)


Sink = Callable[[Record], None]
"""A function that takes the record of a finished chat."""


def write_log_line(record: Record) -> None:
    """Log a record as one line of JSON. A sink."""
    trace, started = record.trace, record.started
    line = {
        "event": "chat",
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "requestId": record.request_id,
        "user": record.user,
        "provider": record.provider,
        "model": record.model,
        "keySource": record.key_source,
        "mode": record.mode,
        "outcome": record.outcome,
        "status": record.status,
        "upstreamStatus": trace.status,
        "ttftMs": trace.first_piece and _milliseconds(trace.first_piece - started),
        "durationMs": record.ended and _milliseconds(record.ended - started),
        "events": trace.events,
        "bytesOut": record.bytes_out,
        "attempts": trace.attempts,
    }
    text = msgspec.json.encode(line | ({"usage": trace.usage} if trace.usage else {})).decode()
    if log.isEnabledFor(logging.INFO) and _is_untouched():
        _stdout.write(f"{text}\n")  # a tenth of what `logging` needs, which also makes an object of the greenlet
    else:
        log.info("%s", text)


def _is_untouched() -> bool:
    """Tell whether the log is as `start_log` has left it, so that a line is all that a record would become."""
    changed = log.filters or log.propagate or _handler.filters or _handler.formatter or _handler.level
    return log.handlers == [_handler] and not changed


def _outcome(error: BaseException | None) -> tuple[str, int]:
    """Return the outcome and the status of a chat that ended with an error, or was closed before its end."""
    if isinstance(error, Failure):
        return error.code, error.status
    if isinstance(error, Gone):
        return error.outcome, 499
    if error is None or isinstance(error, GeneratorExit):
        return "client_gone", 499
    return Code.INTERNAL, 500


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
