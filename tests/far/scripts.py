"""What a scripted provider sends: the bytes of a streamed chat completion, whole and in every broken way."""

import json
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.far.peer import Peer, Script

ANSWER = f"answer{uuid.uuid4().hex}"
"""What is said unless a test wants something else; no log may hold it."""

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


def chunked(*bodies: bytes, head: bytes = EVENTS) -> bytes:
    """Write a response in chunks, without the last one."""
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(*bodies)


def whole(body: bytes, head: bytes = EVENTS) -> bytes:
    """Write a response whose length is announced."""
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


# Scripts of a connection.


def answering(*parts: bytes) -> Script:
    """Make a script that reads one request, sends these parts, and closes."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(*parts)

    return script


def holding(*parts: bytes) -> Script:
    """Make a script that reads one request, sends these parts, and waits for the other side to close."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(*parts)
        peer.wait()

    return script


def dying(answer: bytes, *parts: bytes, end: Callable[[Peer], None] = Peer.close) -> Script:
    """Make a script that answers one request, reads another, sends these parts, and ends the connection."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(answer)
        peer.request()
        peer.send(*parts)
        end(peer)

    return script


def forwarding(target: int, status: bytes = b"200 OK") -> Script:
    """Make a script of a proxy that takes a CONNECT and then passes on every byte."""

    def script(peer: Peer) -> None:
        peer.requests.append(peer.head())
        with socket.create_connection(("127.0.0.1", target)) as onward:
            peer.send(b"HTTP/1.1 %b\r\nVia: test\r\n\r\n" % status)
            peer.pass_on(onward)

    return script


@contextmanager
def closed_port() -> Iterator[int]:
    """Hold a port that refuses; it is bound, so that nobody else takes it."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextmanager
def full_listener() -> Iterator[int]:
    """Listen on a port whose queue of connections is full, so that the next one is left without an answer."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.settimeout(0)
            sock.connect_ex(listener.getsockname())
        try:
            yield listener.getsockname()[1]
        finally:
            for sock in waiting:
                sock.close()


# Scripts of a request for a model.


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
