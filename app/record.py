"""One line of JSON for each chat, when it is over: what became of it, never what was said in it."""

import logging
from datetime import UTC, datetime
from time import monotonic
from types import TracebackType
from typing import Self

import msgspec

from .failure import Code, Failure, Gone
from .log import LogStream
from .upstream.asking import Asking

log = logging.getLogger(__name__)


def start_log() -> None:
    """Write the records to the standard output, and warnings of ours to the standard error.

    An application around this one that has a place for its log gets them there instead.
    """
    log.setLevel(logging.INFO)
    ours = logging.getLogger(__name__.partition(".")[0])
    if ours.hasHandlers() or log.hasHandlers():
        return
    log.addHandler(logging.StreamHandler(LogStream("stdout", '{"event": "log_lost", "lines": %d}')))
    log.propagate = False
    ours.addHandler(logging.StreamHandler(LogStream("stderr")))
    ours.propagate = False


class Record:
    """What is known of one chat. As a context manager around all of it, it writes its line at the end."""

    def __init__(self, request_id: str, provider: str) -> None:
        """Begin with the request; what is learnt later is set from outside."""
        self._started = monotonic()
        self._request_id = request_id
        self._provider = provider
        self.asking = Asking()
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
        """Write the line."""
        outcome, status = _outcome(error)
        self.outcome = self.outcome or outcome
        self.status = self.status or status
        log.info("%s", msgspec.json.encode(self._line()).decode())

    def _line(self) -> dict[str, object]:
        asking, now = self.asking, monotonic()
        line = {
            "event": "chat",
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "requestId": self._request_id,
            "user": self.user,
            "provider": self._provider,
            "model": self.model,
            "keySource": self.key_source,
            "mode": self.mode,
            "outcome": self.outcome,
            "status": self.status,
            "upstreamStatus": asking.status,
            "ttftMs": asking.first_piece and _milliseconds(asking.first_piece - self._started),
            "durationMs": _milliseconds(now - self._started),
            "events": asking.events,
            "bytesOut": self.bytes_out,
            "attempts": asking.attempts,
        }
        return line | ({"usage": asking.usage} if asking.usage else {})


def _outcome(error: BaseException | None) -> tuple[str, int]:
    """Return the outcome and the status of a chat that ended in an error, or in a close before its end."""
    if isinstance(error, Failure):
        return error.code, error.status
    if isinstance(error, Gone):
        return error.outcome, 499
    if error is None or isinstance(error, GeneratorExit):
        return "client_gone", 499
    return Code.INTERNAL, 500


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
