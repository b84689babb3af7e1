"""A parameter that a server does not know is left out, once, and only when the server says so."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from app.answer import Finish, Text
from app.config import Settings
from app.dialects import completions
from app.failure import Failure
from app.upstream import Upstream, corrections
from app.upstream.account import Account
from app.upstream.call import Trace
from tests.far import Far, Peer, Script
from tests.far.scripts import EVENTS, LAST, answering, chunked, whole

pytestmark = pytest.mark.usefixtures("_no_leak", "_no_authorities")

HI = (
    chunked(
        b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n',
        b"data: [DONE]\n\n",
        head=EVENTS + b"Connection: close\r\n",
    )
    + LAST
)
OPTIONS = {"include_usage": True, "include_obfuscation": False}
BODIES: dict[str, object] = {
    "OpenAI, older": {"error": {"message": "Unrecognized request argument supplied: stream_options", "param": None}},
    "OpenAI, param": {"error": {"message": "Unsupported parameter.", "param": "stream_options"}},
    "a part": {"error": {"message": "Unknown parameter: 'stream_options.include_obfuscation'.", "param": None}},
    "a part alone": {"message": "unknown field `include_obfuscation`, expected `include_usage`"},
    "Mistral": {"message": {"detail": [{"loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]}},
    "Groq": {"error": {"message": "property 'stream_options' is unsupported"}},
    "Bedrock": {"message": "extraneous key [stream_options] is not permitted"},
    "vLLM": {"object": "error", "message": "[{'type': 'extra_forbidden', 'loc': ('body', 'stream_options')}]"},
    "a string": {"error": 'json: unknown field "stream_options"'},
    "nothing but a string": "unknown field stream_options",
    "plain text": b'json: unknown field "stream_options"\n',
    "in plain words": {"error": {"message": "Stream options are not supported."}},
    "a member's name": {"errors": {"stream_options": ["Unknown field."]}},
    "a field": {"error": {"message": "Unknown field", "details": [{"field": "streamOptions"}]}},
    "a detail beside": {"message": "Bad request.", "details": "stream_options not allowed"},
}


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with closing(Upstream(Settings(connect_timeout_seconds=5, commit_seconds=5))) as made:
        yield made


def refusing(body: object, status: bytes = b"400 Bad Request") -> Script:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = b"\r\nContent-Type: text/plain" if isinstance(body, bytes) else b""
    return answering(whole(content, b"HTTP/1.1 " + status + kind + b"\r\nConnection: close\r\n"))


def ask(upstream: Upstream, server: Far, text: str = "Hello?") -> tuple[str, int]:
    """Ask, and return the answer, or what was told instead, and after how many requests."""
    account, trace = Account("L", server.url, "key-1"), Trace()
    body = {"model": "m", "messages": [{"role": "user", "content": text}], "stream_options": OPTIONS}
    try:
        with closing(upstream.ask(account, completions, "/chat/completions", body, trace=trace)) as answer:
            pieces = [piece for batch in answer for piece in batch if not isinstance(piece, Finish)]
    except Failure as failure:
        return failure.message, trace.attempts
    return "".join(piece.text for piece in pieces if isinstance(piece, Text)), trace.attempts


def sent(server: Far) -> list[bool]:
    """Tell of each request whether it had the parameter."""
    bodies: list[Any] = [json.loads(request.partition(b"\r\n\r\n")[2]) for request in server.requests()]
    return ["stream_options" in body for body in bodies]


STATUSES = [b"422 Unprocessable Entity", b"500 Oops", b"501 Not Implemented"]
REFUSALS = {name: (b"400 Bad Request", body) for name, body in BODIES.items()}
REFUSALS |= {status.decode(): (status, BODIES["Groq"]) for status in STATUSES}


@pytest.mark.parametrize(("status", "body"), REFUSALS.values(), ids=REFUSALS)
def test_a_refused_parameter_is_left_out_and_that_remembered(
    server: Far, upstream: Upstream, status: bytes, body: object
) -> None:
    server.play(refusing(body, status), answering(HI), answering(HI))
    assert ask(upstream, server) == ("Hi", 2)
    assert ask(upstream, server) == ("Hi", 1)
    assert sent(server) == [True, False, False]


def test_another_day_the_server_is_asked_anew(server: Far, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corrections, "REMEMBERED_SECONDS", 0)
    server.play(refusing(BODIES["Groq"]), answering(HI), answering(HI))
    assert [ask(upstream, server), ask(upstream, server)] == [("Hi", 2), ("Hi", 1)]
    assert sent(server) == [True, False, True]


def test_the_last_refusal_is_told_and_nothing_remembered(server: Far, upstream: Upstream) -> None:
    server.play(refusing(BODIES["Groq"]), refusing({"error": "Boom."}), answering(HI))
    assert ask(upstream, server) == ("Boom.", 2)
    assert ask(upstream, server) == ("Hi", 1)
    assert sent(server) == [True, False, True]


def test_a_refusal_that_goes_on_is_asked_about_once(server: Far, upstream: Upstream) -> None:
    server.play(*[refusing(BODIES["Groq"])] * 2)
    assert ask(upstream, server) == ("property 'stream_options' is unsupported", 2)


@pytest.mark.parametrize(
    ("text", "body", "status"),
    [
        ("What is stream_options?", {"error": "Not allowed: What is stream_options?"}, b"400 Bad Request"),
        ("What is stream_options?", BODIES["plain text"], b"400 Bad Request"),
        ("Hello?", {"error": "Unknown parameter: my_stream_options2"}, b"400 Bad Request"),
        ("Hello?", {"error": {"message": "Boom.", "input": {"stream_options": {}}}}, b"400 Bad Request"),
        ("Hello?", {"error": {"message": "Boom.", "input": {"stream_options": {}}}}, b"500 Oops"),
        ("Hello?", BODIES["Groq"], b"401 Unauthorized"),
        ("Hello?", BODIES["Groq"], b"403 Forbidden"),
        ("Hello?", BODIES["Groq"], b"404 Not Found"),
    ],
)
def test_what_may_be_about_something_else_is_told(
    server: Far, upstream: Upstream, text: str, body: object, status: bytes
) -> None:
    server.play(refusing(body, status))
    assert ask(upstream, server, text)[1] == 1
    assert sent(server) == [True]


@pytest.mark.parametrize("body", [BODIES["OpenAI, param"], BODIES["Mistral"]], ids=["param", "loc"])
def test_a_named_parameter_is_not_a_word_of_the_chat(server: Far, upstream: Upstream, body: object) -> None:
    server.play(refusing(body), answering(HI))
    assert ask(upstream, server, "What is stream_options?") == ("Hi", 2)
    assert sent(server) == [True, False]


@pytest.mark.parametrize("is_busy_first", [True, False])
def test_the_correction_is_beside_the_one_retry(server: Far, upstream: Upstream, is_busy_first: bool) -> None:  # noqa: FBT001
    busy = answering(whole(b"{}", b"HTTP/1.1 429 Slow\r\nRetry-After: 0\r\nConnection: close\r\n"))
    refused = refusing(BODIES["Groq"])
    server.play(*([busy, refused] if is_busy_first else [refused, busy]), answering(HI))
    assert ask(upstream, server) == ("Hi", 3)
    assert sent(server) == [True, is_busy_first, False]


def test_a_bounded_number_of_servers_is_remembered(
    server: Far, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corrections, "MAX_REMEMBERED", 1)

    def script(peer: Peer) -> None:
        refused = json.loads(peer.request().partition(b"\r\n\r\n")[2]).get("stream_options")
        peer.send(whole(b'{"error":"no stream_options"}', b"HTTP/1.1 400 No\r\n") if refused else HI)

    server.play(*[script] * 5)
    with Far().play(*[script] * 2) as other:
        assert [ask(upstream, one)[0] for one in (server, other, server)] == ["Hi"] * 3
        assert [len(sent(server)), len(sent(other))] == [4, 2]
