"""The client of bare bytes: it sends what it is told, keeps what comes, and leaves the way that it is told."""

import json
import re
import socket
import struct
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

SECONDS = 30
"""How long anything may take before a test gives up."""

KEY = f"canary{uuid.uuid4().hex}"
PROMPT = f"prompt{uuid.uuid4().hex}"
"""Marks that no log may hold; the key no answer either."""


class Client:
    """One connection to the service.

    `received` is all that came, `first_at` is when that began, `ended` is how it ended: `fin` or `reset`.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.received = b""
        self.first_at = 0.0
        self.ended = ""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def take(self, seconds: float = SECONDS, size: int = 65536) -> bytes:
        """Read once; nothing when nothing came in time, or all has come."""
        self.socket.settimeout(max(seconds, 0.001))
        data = b""
        try:
            data = self.socket.recv(size)
            self.ended = self.ended or ("" if data else "fin")
            self.first_at = self.first_at or time.monotonic()
        except TimeoutError:
            pass
        except ConnectionError:
            self.ended = "reset"
        self.received += data
        assert KEY.encode() not in self.received, "an answer shows a key"
        return data

    def until(self, marker: bytes, seconds: float = SECONDS) -> bytes:
        """Read until a marker is among what came; fail with what came if it ends, or lasts, before that."""
        deadline = time.monotonic() + seconds
        while marker not in self.received and not self.ended and time.monotonic() < deadline:
            self.take(deadline - time.monotonic())
        assert marker in self.received, (marker, self.ended or "lasts", self.received[-500:])
        return self.received

    def through(self, marker: bytes) -> bytes:
        """Read until a marker is among what came; return that, and begin anew behind it."""
        data = self.until(marker)
        self.received = b""
        return data

    def is_silent(self, seconds: float = 0.15) -> bool:
        """Tell whether nothing comes for so long, not even an end."""
        return not self.take(seconds) and not self.ended

    def end(self, seconds: float = SECONDS) -> str:
        """Read to the end and tell how it ended; fail if it lasts longer."""
        deadline = time.monotonic() + seconds
        while not self.ended and time.monotonic() < deadline:
            self.take(deadline - time.monotonic())
        assert self.ended, f"still open after {seconds} s: {self.received[-500:]!r}"
        return self.ended

    def finish(self, seconds: float = SECONDS) -> "Answer":
        """Read one answer to where its framing says that it ends, or to the end of the connection; return it."""
        while not self.ended and not self._is_over():
            assert self.take(seconds, 256 * 1024) or self.ended, f"nothing for {seconds} s: {self.received[-500:]!r}"
        return next(reversed(self.answers()), Answer(0, {}, b"", whole=False))

    def _is_over(self) -> bool:
        """Tell whether an answer is whole; of one in chunks, only when its last bytes look like it."""
        if b"chunked" in self.received[:1024] and not self.received.endswith(b"0\r\n\r\n"):
            return False
        return any(answer.whole and answer.status >= 200 for answer in self.answers())

    def leave(self, way: str) -> float:
        """Leave with a `fin`, with a `reset`, or by a `half` close, after which one can still read; return when."""
        left = time.monotonic()
        if way == "half":
            self.socket.shutdown(socket.SHUT_WR)
            return left
        if way == "reset":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
        return left

    def port(self) -> int:
        """Return the connection's own port."""
        return int(self.socket.getsockname()[1])

    def answers(self) -> "list[Answer]":
        """Return all answers that came, the interim ones too."""
        return list(_answers(self.received))

    def answer(self) -> "Answer":
        """Return the one answer that came."""
        found = self.answers()
        assert len(found) == 1, self.received
        return found[0]


@dataclass
class Answer:
    """One HTTP answer. `whole` tells whether its framing says so: the last chunk, or as much as was announced."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool

    def failure(self) -> tuple[int, str]:
        """Return the status and the code of an answer that is an error as all errors must be."""
        assert self.whole
        assert self.headers["content-type"] == "application/json"
        body: dict[str, Any] = json.loads(self.body)
        assert set(body) == {"message", "code", "requestId"}
        assert body["requestId"] == self.headers["x-request-id"]
        assert len(body["message"]) > 10
        return self.status, body["code"]

    def parts(self) -> list[dict[str, Any]]:
        """Return the JSON of server-sent events."""
        return [json.loads(line[6:]) for line in self.body.decode().split("\n") if line.startswith("data: {")]


@contextmanager
def connect(port: int, *requests: bytes, receive_buffer: int = 0) -> Iterator[Client]:
    """Open a connection to the service and send something; a small receive buffer makes a slow reader felt."""
    with socket.socket() as sock:
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(SECONDS)
        sock.connect(("127.0.0.1", port))
        client = Client(sock)
        client.send(b"".join(requests))
        yield client


def new_id() -> str:
    return uuid.uuid4().hex


def body(model: str) -> bytes:
    """Write a chat."""
    message = {"role": "user", "content": PROMPT}
    return json.dumps({"chatSettings": {"model": model}, "messages": [message]}).encode()


def chat(model: str, request_id: str, *headers: str, **how: str) -> bytes:
    """Write a whole chat request; `how` are the mode, the version of HTTP and the provider, as below."""
    content = body(model)
    return head(request_id, f"Content-Length: {len(content)}", *headers, **how) + content


def head(request_id: str, *headers: str, mode: str = "text", version: str = "1.1", provider: str = "openai") -> bytes:
    """Write a chat request without its body."""
    accept = ["Accept: text/event-stream"] if mode == "sse" else []
    lines = [f"POST /api/chat/{provider} HTTP/{version}", "Host: localhost", f"X-Request-ID: {request_id}", *accept]
    return "\r\n".join([*lines, *headers, "", ""]).encode()


def chunked(*parts: bytes) -> bytes:
    """Write a body in chunks, the last one included."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def _answers(data: bytes) -> Iterator[Answer]:
    while b"\r\n\r\n" in data:
        start, _, data = data.partition(b"\r\n\r\n")
        status, *lines = start.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body, whole = data, False
        if re.match(r"HTTP/1\.1 1\d\d ", status):
            body, whole, rest = b"", True, data
        elif "content-length" in headers:
            length = int(headers["content-length"])
            body, rest, whole = data[:length], data[length:], len(data) >= length
        elif headers.get("transfer-encoding") == "chunked":
            body, rest, whole = _unchunked(data)
        else:
            rest = b""
        yield Answer(int(status.split()[1]), headers, body, whole)
        data = rest


def _unchunked(data: bytes) -> tuple[bytes, bytes, bool]:
    """Return the body as far as it came, what follows it, and whether it came to its last chunk."""
    found: list[bytes] = []
    at = 0
    while (end := data.find(b"\r\n", at)) >= 0:
        start, length = end + 2, int(data[at:end], 16)
        if not length:
            return b"".join(found), data[start + 2 :], data.startswith(b"\r\n", start)
        found.append(data[start : start + length])
        at = start + length + 2
    return b"".join(found), b"", False
