"""Questions as providers are asked, and their answers in the bytes that came."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.client import Reply, ask
from tests.processes import Simulator
from tests.raw import Client, connect

PATHS = {
    "openai": "/openai/v1/chat/completions",
    "azure": "/azure/openai/v1/chat/completions",
    "groq": "/groq/openai/v1/chat/completions",
    "mistral": "/mistral/v1/chat/completions",
}
KEY = {"Authorization": "Bearer sk-simulated-0123456789"}


def request(
    simulator: Simulator, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> Reply:
    """Send a request and read the whole answer."""
    return ask(simulator, path, body, method=method, **headers or {})


def chat(simulator: Simulator, provider: str, model: str, **more: object) -> Reply:
    """Ask for a streamed answer and read the whole of it."""
    return request(simulator, "POST", PATHS[provider], question(model, **more), KEY)


@contextmanager
def opened(simulator: Simulator, provider: str, model: str, **more: object) -> Iterator[Client]:
    """Ask for a streamed answer on a connection of its own, and leave the reading to the test."""
    with connect(simulator.port, post(PATHS[provider], question(model, **more))) as client:
        yield client


def question(model: str, **more: object) -> bytes:
    """Return the body of a request; `more` adds keys, or replaces them."""
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "Hello?"}], **more}
    return json.dumps(body).encode()


def post(path: str, body: bytes) -> bytes:
    """Return a request as bytes."""
    head = f"POST {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer sk-test\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def events(reply: Reply) -> list[str]:
    """Return the data of the body's server-sent events, each on one line."""
    return [event.removeprefix("data: ") for event in reply.body.decode().split("\n\n")[:-1]]


def chunks(reply: Reply) -> list[Any]:
    """Return the events as JSON, without the last, `[DONE]`."""
    *found, done = events(reply)
    assert done == "[DONE]"
    return [json.loads(event) for event in found]
