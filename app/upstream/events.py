"""Server-sent events out of bytes (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from itertools import dropwhile

from app.answer import Failure

MAX_EVENT_BYTES = 1024 * 1024
MAX_STREAM_BYTES = 32 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"


class EventReader:
    """Turns a stream's bytes, however split, into the data of its events."""

    def __init__(self) -> None:
        """Start before the first byte."""
        self._start = b""
        self._begun = False
        self.rest = b""
        """What came behind the last whole event."""
        self._is_stream = False
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._total = 0
        self._ended_in_cr = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the data of all events that `data` completes; comments and events without data are dropped.

        An event is complete at its blank line, so one that the stream's end cuts is never returned. Raises `Failure`
        over a megabyte for one event, or 32 for the stream.
        """
        self._total += len(data)
        if not self._begun:
            data = self._without_bom(data)
        if self._ended_in_cr or b"\r" in data:
            data = self._with_line_feeds(data)
        together = self.rest + data
        *events, self.rest = together.split(b"\n\n")
        if self._total > MAX_STREAM_BYTES or (len(together) > MAX_EVENT_BYTES and _is_too_large(*events, self.rest)):
            raise Failure(500, "up_too_large", "The provider's answer is too large.")
        found = [data for event in events if (data := _data(event))]
        self._is_stream = self._is_stream or bool(found)
        if not self._is_stream and events:
            self._keep(events)
        return found

    @property
    def whole(self) -> bytes:
        """What came in place of a stream, from where it looks like JSON; at most about as much as one event."""
        return b"".join([*self._kept, self.rest])

    def _keep(self, events: list[bytes]) -> None:
        """Keep what is no event: a whole answer in place of a stream may have blank lines, too."""
        if not self._kept:
            events = [*dropwhile(lambda event: not event.lstrip().startswith(b"{"), events)]
        if events and self._kept_bytes < MAX_EVENT_BYTES:
            self._kept.append(b"".join(events))
            self._kept_bytes += len(self._kept[-1])

    def _without_bom(self, data: bytes) -> bytes:
        """Drop a byte order mark, of which the first reads may bring a part each."""
        self._start += data
        self._begun = len(self._start) >= len(_BOM) or not _BOM.startswith(self._start)
        return self._start.removeprefix(_BOM) if self._begun else b""

    def _with_line_feeds(self, data: bytes) -> bytes:
        """Turn CRLF and CR line ends, which hardly anybody sends, into LF."""
        follows_cr, self._ended_in_cr = self._ended_in_cr, data.endswith(b"\r") if data else self._ended_in_cr
        if follows_cr and data.startswith(b"\n"):
            data = data[1:]
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _is_too_large(*events: bytes) -> bool:
    """Tell whether one event is too large; the first half of a blank line is not yet part of the last."""
    return max(len(event.removesuffix(b"\n")) for event in events) > MAX_EVENT_BYTES


def _data(event: bytes) -> bytes:
    """Join an event's data lines."""
    if event.startswith(b"data: ") and b"\n" not in event:
        return event[6:]
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:") or line == b"data"]
    return b"\n".join(lines)
