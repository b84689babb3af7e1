"""What a provider sends: the bytes of a streamed chat completion, whole and in every broken way."""

import json
from typing import Any

from tests.faults.far import Peer, Script
from tests.faults.sluice import ANSWER

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
"""The head of a streamed answer, but for how its body ends."""

CHUNKED = EVENTS + b"Transfer-Encoding: chunked\r\n\r\n"
UNFRAMED = EVENTS + b"Connection: close\r\n\r\n"
LAST = b"0\r\n\r\n"
DONE = b"data: [DONE]\n\n"


def event(**members: Any) -> bytes:  # noqa: ANN401 - JSON is anything
    """Write one event of the completion."""
    return b"data: " + json.dumps({"object": "chat.completion.chunk", **members}).encode() + b"\n\n"


def delta(text: Any = ANSWER) -> bytes:  # noqa: ANN401 - some providers send what is no text
    """Write an event with some of the answer."""
    return event(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": None}])


def stop(reason: str = "stop") -> bytes:
    """Write the event in which the provider says that its answer is over."""
    return event(choices=[{"index": 0, "delta": {}, "finish_reason": reason}])


def chunk(*bodies: bytes) -> bytes:
    """Frame each of these as one chunk."""
    return b"".join(b"%x\r\n%b\r\n" % (len(body), body) for body in bodies)


def sending(*parts: bytes) -> Script:
    """Send these, and keep the connection open."""
    return lambda peer: peer.send(*parts)


def closing(*parts: bytes) -> Script:
    """Send these, then a FIN."""

    def script(peer: Peer) -> None:
        peer.send(*parts)
        peer.close()

    return script


def resetting(*parts: bytes) -> Script:
    """Send these, then a RST."""

    def script(peer: Peer) -> None:
        peer.send(*parts)
        peer.reset()

    return script


def streaming(*bodies: bytes) -> Script:
    """Send a whole response in chunks."""
    return sending(CHUNKED, *(chunk(body) for body in bodies), LAST)


def replying(status: int, body: bytes = b"", *headers: str, kind: str = "application/json") -> Script:
    """Send a whole response that is no stream."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers]

    return lambda peer: peer.send_last("\r\n".join([*lines, "", ""]).encode() + body)


ok = sending(CHUNKED + chunk(delta(), stop(), DONE) + LAST)
"""A whole answer, at once: a connection whose last chunk is not there yet when the answer is over is not kept."""
