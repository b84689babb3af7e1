"""Bytes -> server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

import re
from itertools import dropwhile

from ..failure import Code, Failure

MAX_EVENT_BYTES = 1024 * 1024
MAX_STREAM_BYTES = 32 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"

# One pattern for each kind of line, so that an event of half a million lines needs no loop in Python.
_DATA = re.compile(rb"^data(?:: ?(.*))?$", re.MULTILINE)
_ERROR = re.compile(rb"^error:(.*)$", re.MULTILINE | re.IGNORECASE)
_FAILED = re.compile(
    rb"^event: {0,9}[\w.:/-]{0,99}?(?:error|fail|exception|abort)[\w.:/-]{0,99} {0,9}$", re.MULTILINE | re.IGNORECASE
)
"""The name of an event that marks an error, whatever its data is."""
_COMMENT = re.compile(rb"^:.*\n?", re.MULTILINE)
_STRAY = re.compile(rb"^(?!:|(?:data|event|id|retry)(?::|$)|[^\S\n]*$).+$", re.MULTILINE)


class ErrorEvent(bytes):
    """The data of an event that is marked as an error: by its `event`, or as in llama.cpp by `error:` for `data:`."""


class StrayLines(bytes):
    """Lines in a stream that are neither a comment nor a field: a server that crashes writes its error this way."""


class EventReader:
    """An incremental parser: the bytes of a stream, split anywhere -> the data of its events."""

    def __init__(self) -> None:
        """Start before the first byte."""
        self._start = b""
        self._begun = False
        self.rest = bytearray()
        """The bytes after the last complete event."""
        self.blocks = 0
        """How many events have come, including those that are dropped."""
        self._is_stream = False
        self._kept = bytearray()
        self._total = 0
        self._ended_in_cr = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the data of all events that `data` completes; comments and events without data are dropped.

        An event is complete at its blank line, so an event that the end of the stream cuts is never returned. Raises
        `Failure` above 1 MiB for one event, or 32 MiB for the stream.
        """
        self._total += len(data)
        if not self._begun:
            data = self._without_bom(data)
        if self._ended_in_cr or b"\r" in data:
            data = self._with_line_feeds(data)
        if self.rest:
            data = self._joined(data)
        *events, rest = data.split(b"\n\n")
        if rest:
            self.rest += rest
        self.blocks += len(events)
        if self._total > MAX_STREAM_BYTES or (len(data) > MAX_EVENT_BYTES and any(map(_is_too_large, [*events, rest]))):
            raise _too_large()
        found = _data(events)
        return found if self._is_stream else self._begun_stream(events, found)

    def single(self, data: bytes) -> bytes | None:
        """Return the data of a read that is one event of one line; None for any other, which is then for `feed`.

        Most reads are such, and this costs a third of `feed`.
        """
        size = len(data)
        if not (
            self._is_stream
            and not self.rest
            and data.startswith(b"data: ")
            and data.find(b"\n") == size - 2
            and data.endswith(b"\n\n")
            and b"\r" not in data
            and not self._ended_in_cr
            and 8 < size <= MAX_EVENT_BYTES  # noqa: PLR2004 - more than "data: " and the blank line
            and self._total + size <= MAX_STREAM_BYTES
        ):
            return None
        self._total += size
        self.blocks += 1
        return data[6:-2]

    def last(self) -> list[bytes]:
        """Return the data of the last event, which has no blank line and may be incomplete."""
        return _data([bytes(self.rest)])

    @property
    def whole(self) -> bytes:
        """The body, if it is not a stream, from the first bytes that look like JSON; limited to about one event."""
        return bytes(self._kept + self.rest)

    def _joined(self, data: bytes) -> bytes:
        """Return the rest and these bytes if they complete an event; else keep both and return nothing.

        Only the new bytes are searched, because an event may come in many reads.
        """
        seam = len(self.rest) - 1
        self.rest += data
        if self.rest.find(b"\n\n", seam) < 0:
            if len(self.rest) > MAX_EVENT_BYTES and _is_too_large(self.rest):
                raise _too_large()
            return b""
        data = bytes(self.rest)
        self.rest.clear()
        return data

    def _begun_stream(self, events: list[bytes], found: list[bytes]) -> list[bytes]:
        """Return the events, without stray lines before the first: a body that is not a stream consists of them."""
        found = [*dropwhile(lambda event: type(event) is StrayLines, found)]
        self._is_stream = bool(found)
        if not found:
            self._keep(events)
        return found

    def _keep(self, events: list[bytes]) -> None:
        """Keep the bytes of a body that is not a stream; it may have blank lines, too."""
        if not self._kept:
            events = [_COMMENT.sub(b"", event) for event in events]
            events = [*dropwhile(lambda event: not event.lstrip().startswith((b"{", b"[")), events)]
        if len(self._kept) < MAX_EVENT_BYTES:
            self._kept += b"".join(events)

    def _without_bom(self, data: bytes) -> bytes:
        """Drop a byte order mark, which may be split over the first reads."""
        self._start += data
        self._begun = len(self._start) >= len(_BOM) or not _BOM.startswith(self._start)
        return self._start.removeprefix(_BOM) if self._begun else b""

    def _with_line_feeds(self, data: bytes) -> bytes:
        """Turn the line ends CRLF and CR, which are rare, into LF."""
        follows_cr, self._ended_in_cr = self._ended_in_cr, data.endswith(b"\r") if data else self._ended_in_cr
        if follows_cr and data.startswith(b"\n"):
            data = data[1:]
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _is_too_large(event: bytes | bytearray) -> bool:
    """Tell whether one event is too large; a line feed at its end may belong to the blank line."""
    return len(event.removesuffix(b"\n")) > MAX_EVENT_BYTES


def _too_large() -> Failure:
    return Failure(Code.UP_TOO_LARGE, "The provider's answer is too large.")


def _data(events: list[bytes]) -> list[bytes]:
    """Return the data of these events, nearly all of which have one line."""
    found: list[bytes] = []
    for event in events:
        if event.startswith(b"data: ") and b"\n" not in event:
            found.append(event[6:])
        elif event.startswith(b"data:") and b"\n" not in event:
            found.append(event[5:])
        elif event:
            found += _events(event)
    return [*filter(None, found)] if b"" in found else found


def _events(event: bytes) -> list[bytes]:
    """Return the data of an event of several lines, with errors and stray lines as their own types."""
    data = b"\n".join(_DATA.findall(event))
    errors = [line.strip() or b"{}" for line in _ERROR.findall(event)]
    if errors or _FAILED.search(event):
        return [ErrorEvent(b"".join(errors) or data or b"{}")]
    return [found for found in (data, StrayLines(b"\n".join(_STRAY.findall(event)))) if found]
