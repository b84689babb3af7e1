"""What the SDK sends for us: the headers that are built here, and no other."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from time import monotonic
from typing import Any

import openai
import pytest

from app.config import Settings
from app.dialects import completions
from app.upstream.account import Account
from app.upstream.call import Call
from app.upstream.pool import Pool, Refused
from app.upstream.sdk import SDK
from tests.far import Far
from tests.far.scripts import EVENTS, answering, whole

pytestmark = pytest.mark.usefixtures("_no_leak", "_no_authorities")

SOON = 5.0
BODY = {"a": 1}
POST = {"content-type": "application/json", "content-length": "7"}
BEARER = {"authorization": "Bearer key-1"}

Send = Callable[..., None]


@pytest.fixture
def send(server: Far, monkeypatch: pytest.MonkeyPatch) -> Iterator[Send]:
    """What sends a request with an SDK that was made where everything foreign is set, and reads its answer."""
    for name in ("API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID", "WEBHOOK_SECRET"):
        monkeypatch.setenv(f"OPENAI_{name}", "foreign")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://foreign.invalid/")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Foreign: foreign\nAuthorization: Bearer foreign\napi-key: foreign")
    monkeypatch.setenv("HTTP_PROXY", "http://foreign.invalid/")
    with closing(Pool(Settings(connect_timeout_seconds=SOON))) as pool:
        sdk = SDK(pool)

        def send(how: Mapping[str, Any], body: Mapping[str, Any] | None) -> None:
            account = Account("L", server.url, "key-1", **how, query={"v": "1"})
            with closing(sdk.send(Call(account, completions, monotonic() + SOON), "/chat", body)) as exchange:
                assert exchange.read(SOON) == b""

        yield send


@pytest.mark.parametrize(
    ("how", "body", "expected"),
    [
        ({}, BODY, POST | BEARER),
        ({}, None, BEARER),
        ({"key_header": "api-key"}, BODY, POST | {"api-key": "key-1"}),
        ({"headers": {"OpenAI-Organization": "org-1"}}, BODY, POST | BEARER | {"openai-organization": "org-1"}),
    ],
    ids=["bearer", "GET", "api-key", "organization"],
)
def test_a_request_has_the_headers_that_are_built_and_no_other(
    server: Far, send: Send, how: dict[str, Any], body: dict[str, Any] | None, expected: dict[str, str]
) -> None:
    server.play(answering(whole(b"")))
    send(how, body)
    head, _, content = server.requests()[0].partition(b"\r\n\r\n")
    line, *lines = head.decode().split("\r\n")
    assert line == f"{'GET' if body is None else 'POST'} /v1/chat?v=1 HTTP/1.1"
    every = {"host": f"127.0.0.1:{server.port}", "user-agent": "sluice", "accept": "application/json"}
    expected = {**every, "accept-encoding": "identity", **expected}
    assert sorted(lines) == sorted(f"{name}: {value}" for name, value in expected.items())
    assert content == (b"" if body is None else b'{"a":1}')


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (302, openai.APIStatusError),
        (401, openai.AuthenticationError),
        (429, openai.RateLimitError),
        (503, openai.InternalServerError),
    ],
)
def test_an_error_status_is_an_error_of_the_sdk(
    server: Far, send: Send, status: int, error: type[openai.APIStatusError]
) -> None:
    server.play(answering(whole(b"Boom.", b"HTTP/1.1 %d Oops\r\n" % status)))
    with pytest.raises(Refused) as refused:
        send({}, BODY)
    assert type(refused.value.__cause__) is error
    assert (refused.value.status, refused.value.content) == (status, b"Boom.")
    assert len(server.requests()) == 1


def test_a_cookie_of_one_user_is_not_sent_for_the_next(server: Far, send: Send) -> None:
    server.play(*[answering(whole(b"", EVENTS + b"Set-Cookie: a=b; Path=/\r\nConnection: close\r\n"))] * 2)
    send({}, BODY)
    send({}, BODY)
    assert len(server.requests()) == 2
    assert not any(b"cookie" in request.lower() for request in server.requests())
