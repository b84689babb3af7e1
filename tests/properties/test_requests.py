"""A request: whatever is wrong with it, its sender is told so in a sentence, and it is never an unhandled exception."""

import json
from collections.abc import Mapping
from http.client import HTTPMessage
from typing import Any

import pytest
from flask import Flask
from hypothesis import event, given
from hypothesis import strategies as st
from werkzeug.datastructures import Headers
from werkzeug.test import create_environ, run_wsgi_app

from app import create_app
from app.config import Settings
from app.failure import Code
from app.providers import PROVIDERS
from app.simulator import ANSWER
from tests.client import ask, begun, read
from tests.contract.test_answers import text_of
from tests.processes import Processes, Service
from tests.raw import connect

from .requests import LIMIT, WHOLE, about, bodies, chats, chunked_bodies, framing, nothing

BODY_SECONDS = 0.05
"""How long the service waits for a body that is shorter than its headers say."""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    path = tmp_path_factory.mktemp("database") / "sluice.db"
    return create_app(Settings(database_url=f"sqlite:///{path}", max_body_bytes=LIMIT))


@pytest.fixture(scope="module")
def keyless(processes: Processes) -> Service:
    """The service without a provider's key: there is no chat that it would answer."""
    return processes.service({"MAX_BODY_BYTES": str(LIMIT), "BODY_TIMEOUT_SECONDS": str(BODY_SECONDS)})


def assert_told(status: int, headers: Headers | HTTPMessage, body: bytes) -> None:
    told = json.loads(body)
    assert 400 <= status < 500, told
    assert set(told) == {"message", "code", "requestId"}
    event(f"{status} {told['code']}")
    assert told["code"] in set(Code)
    assert told["message"].isprintable()
    assert 10 <= len(told["message"]) <= 200
    assert told["requestId"] == headers["X-Request-ID"]
    assert headers["Content-Type"] == "application/json"


def asked(app: Flask, body: bytes, headers: Mapping[str, str], *, ended: bool) -> None:
    """Ask the application itself, with no server's strictness in between; `ended` is what that says of a body."""
    environ = create_environ("/api/chat/openai", method="POST", data=body)
    own = {"Content-Type": "CONTENT_TYPE", "Content-Length": "CONTENT_LENGTH"}
    named = {own.get(name, f"HTTP_{name.upper().replace('-', '_')}"): value for name, value in headers.items()}
    changes = {"REMOTE_ADDR": "127.0.0.1", "wsgi.input_terminated": ended, **named}
    chunks, status, told = run_wsgi_app(app, environ | changes, buffered=True)
    assert_told(int(status.split()[0]), told, b"".join(chunks))


@given(bodies, st.booleans())
def test_no_body_is_a_mistake_of_ours(app: Flask, body: bytes, ended: bool) -> None:  # noqa: FBT001 - drawn
    asked(app, body, {}, ended=ended)


@given(framing, about, st.booleans())
def test_no_header_is_a_mistake_of_ours(
    app: Flask,
    lengths: dict[str, str],
    headers: dict[str, str],
    ended: bool,  # noqa: FBT001 - drawn
) -> None:
    asked(app, json.dumps(WHOLE).encode(), headers | lengths, ended=ended)


@given(bodies, nothing | framing, nothing | about)
def test_neither_are_they_over_a_socket(
    keyless: Service, body: bytes, lengths: dict[str, str], headers: dict[str, str]
) -> None:
    """Here the server has its say too, and answers no otherwise. A coding that it does not know is its 501."""
    status, told, content = exchanged(keyless, headers | (lengths or {"Content-Length": str(len(body))}), body)
    unknown = status == 501 and "Transfer-Encoding" in lengths
    assert_told(400 if unknown else status, told, content)


@given(chunked_bodies, nothing | about)
def test_nor_is_a_body_in_chunks(keyless: Service, body: bytes, headers: dict[str, str]) -> None:
    assert_told(*exchanged(keyless, headers | {"Transfer-Encoding": "chunked"}, body))


def exchanged(service: Service, headers: Mapping[str, str], body: bytes) -> tuple[int, HTTPMessage, bytes]:
    lines = [f"{name}: {value}" for name, value in ({"Host": "localhost"} | dict(headers)).items()]
    head = "\r\n".join(["POST /api/chat/openai HTTP/1.1", *lines, "", ""]).encode("latin-1")
    with connect(service.port, head + body) as client:
        reply = read(begun(client.socket))
        assert not reply.cut
        return reply.status, reply.headers, reply.body


@given(chats, nothing | about, st.sampled_from(list(PROVIDERS)))
def test_a_whole_chat_is_answered_or_refused_and_never_breaks(
    service: Service, chat: dict[str, Any], headers: dict[str, str], provider: str
) -> None:
    reply = ask(service, f"/api/chat/{provider}", json.dumps(chat).encode(), **headers)
    if reply.status == 200:
        assert (text_of(reply), reply.cut) == (ANSWER, False)
    else:
        assert_told(reply.status, reply.headers, reply.body)
