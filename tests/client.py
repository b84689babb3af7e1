"""A client that sees what a browser's `fetch` sees: the head at once, each chunk when it comes, a cut as a cut."""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

HELLO = [{"role": "user", "content": "Hello?"}]


class Server(Protocol):
    """Whatever listens on this machine: the service, a host of it, the simulator."""

    @property
    def port(self) -> int: ...


@dataclass
class Reply:
    """An answer: its head, its body as far as it came, when each part came, and whether it broke off."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes = b""
    times: list[float] = field(default_factory=list)
    cut: bool = False

    def is_spread(self, parts: int, seconds: float) -> bool:
        """Tell whether the body came in so many parts over so long, as it was written; a busy machine joins some."""
        return len(self.times) >= parts and self.times[-1] - self.times[0] >= seconds

    def json(self) -> dict[str, Any]:
        """Return an error's body."""
        assert self.headers["Content-Type"] == "application/json"
        found: dict[str, Any] = json.loads(self.body)
        return found

    def events(self) -> list[dict[str, Any] | str]:
        """Return the data of server-sent events; the end marker as the string that it is."""
        blocks = [block for block in self.body.decode().split("\n\n") if block.startswith("data: ")]
        return [block[6:] if block == "data: [DONE]" else json.loads(block[6:]) for block in blocks]


def chat(server: Server, provider: str, model: str, *, accept: str = "", **more: Any) -> Reply:  # noqa: ANN401
    """Ask a question and read its answer to the end. `more` are `messages`, and any settings of the chat."""
    messages = more.pop("messages", HELLO)
    body = {"chatSettings": {"model": model, **more}, "messages": messages}
    return ask(server, f"/api/chat/{provider}", json.dumps(body).encode(), accept=accept)


def ask(server: Server, path: str, body: bytes | None, *, method: str = "POST", **headers: str) -> Reply:
    """Send any request and read the answer to its end; `content_type` becomes `Content-Type`."""
    with connected(server) as connection:
        named = {name.replace("_", "-"): value for name, value in headers.items() if value}
        connection.request(method, path, body, {"content-type": "text/plain;charset=UTF-8"} | named)
        return read(connection.getresponse())


def read(response: http.client.HTTPResponse) -> Reply:
    reply = Reply(response.status, response.headers)
    try:
        while part := response.read1():
            reply.body += part
            reply.times.append(time.monotonic())
    except (http.client.IncompleteRead, ConnectionError):
        reply.cut = True
    response.close()
    return reply


@contextmanager
def connected(server: Server) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    try:
        yield connection
    finally:
        connection.close()


def begun(sock: socket.socket) -> http.client.HTTPResponse:
    """Return the answer that comes over a connection of bytes, of which nothing but the head is read yet."""
    response = http.client.HTTPResponse(sock)
    response.begin()
    return response
