"""Server-sent events by the letter (https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream)."""

import re


def data_of(stream: bytes) -> list[bytes]:
    """Return the data of each event that is dispatched; what follows the last blank line never is."""
    found: list[bytes] = []
    buffer: list[bytes] = []
    *lines, _ = re.split(rb"\r\n|\r|\n", stream.removeprefix(b"\xef\xbb\xbf"))
    for line in lines:
        if not line:
            if buffer:
                found.append(b"\n".join(buffer))
            buffer = []
        elif not line.startswith(b":"):
            field, _, value = line.partition(b":")
            if field == b"data":
                buffer.append(value.removeprefix(b" "))
    return found
