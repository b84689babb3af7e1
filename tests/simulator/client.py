"""A client that sees what is on the wire."""

import json
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any, NamedTuple

PATHS = {
    "openai": "/openai/v1/chat/completions",
    "azure": "/azure/openai/v1/chat/completions",
    "groq": "/groq/openai/v1/chat/completions",
    "mistral": "/mistral/v1/chat/completions",
}
KEY = {"Authorization": "Bearer sk-simulated-0123456789"}
SECONDS = 30
"""How long anything may take before a test fails."""


class Answer(NamedTuple):
    """A complete answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever the body is
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def events(self) -> list[str]:
        """The data of the body's server-sent events, each on one line."""
        return [event.removeprefix("data: ") for event in self.body.decode().split("\n\n")[:-1]]

    @property
    def chunks(self) -> list[Any]:
        """The events as JSON, without the last, `[DONE]`."""
        *events, done = self.events
        assert done == "[DONE]"
        return [json.loads(event) for event in events]


@dataclass(frozen=True)
class Simulator:
    """A simulator that runs."""

    port: int
    pid: int

    def request(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        """Send a request and read the whole answer."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, response.read())
        finally:
            connection.close()

    def chat(self, dialect: str, model: str, **more: object) -> Answer:
        """Ask for a streamed answer and read the whole of it."""
        return self.request("POST", PATHS[dialect], question(model, **more), KEY)

    def open(self, dialect: str, model: str, **more: object) -> socket.socket:
        """Ask for a streamed answer on a connection of its own, and leave the reading to the test."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS)
        connection.sendall(raw(PATHS[dialect], question(model, **more)))
        return connection

    def notes(self) -> list[dict[str, Any]]:
        """Return what the simulator noted of the requests."""
        notes: list[dict[str, Any]] = self.request("GET", "/requests").json
        return notes

    def memory(self) -> int:
        """Return the process's resident memory in bytes."""
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as statm:  # noqa: PTH123 - a file of the kernel's
            return int(statm.read().split()[1]) * 4096


def question(model: str, **more: object) -> bytes:
    """Return the body of a request; `more` adds keys, or replaces them."""
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "Hello?"}], **more}
    return json.dumps(body).encode()


def raw(path: str, body: bytes) -> bytes:
    """Return a request as bytes."""
    head = f"POST {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer sk-test\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def read_to(connection: socket.socket, mark: bytes) -> bytes:
    """Read until the mark was read."""
    data = bytearray()
    while mark not in data:
        piece = connection.recv(65536)
        assert piece, f"closed after {bytes(data[-200:])!r}"
        data += piece
    return bytes(data)


def read_out(connection: socket.socket) -> tuple[bytes, str]:
    """Read until the other side ends the connection; return what came, and "closed" or "reset"."""
    data = bytearray()
    try:
        while piece := connection.recv(65536):
            data += piece
    except ConnectionResetError:
        return bytes(data), "reset"
    return bytes(data), "closed"


def is_silent(connection: socket.socket) -> bool:
    """Say whether nothing comes, not even an end."""
    return not select.select([connection], [], [], 0.15)[0]


def dechunked(data: bytes) -> list[bytes]:
    """Return the chunks after an answer's head; the last is empty if the body ended as HTTP wants."""
    chunks, at = [], data.index(b"\r\n\r\n") + 4
    while at < len(data):
        start = data.index(b"\r\n", at) + 2
        end = start + int(data[at:start], 16)
        assert data[end : end + 2] == b"\r\n"
        chunks.append(data[start:end])
        at = end + 2
    return chunks


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    until = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.01)
