"""What all questions share: no key, and no header that anything but the question decides."""

import socket
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest

from app.answer import Answer, Finish, Text
from app.config import Settings
from app.dialects import completions
from app.failure import Failure
from app.upstream import Upstream
from app.upstream.account import Account
from tests.far import Far
from tests.far.scripts import LAST, answering, chunked
from tests.processes import printed

pytestmark = pytest.mark.usefixtures("_no_authorities")

BODY = {"model": "m", "messages": [{"role": "user", "content": "Hello?"}]}
ANSWER = (
    chunked(b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n', b"data: [DONE]\n\n") + LAST
)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    made = Upstream(Settings(connect_timeout_seconds=5, commit_seconds=5))
    yield made
    made.close()


def ask(upstream: Upstream, account: Account) -> Answer:
    return upstream.ask(account, completions, "/chat/completions", BODY)


def headers_of(server: Far) -> dict[str, str]:
    _, *lines = server.requests()[-1].partition(b"\r\n\r\n")[0].decode().split("\r\n")
    return dict(line.split(": ", 1) for line in lines)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({}, {"authorization": "Bearer key-1"}),
        ({"key_header": "api-key"}, {"api-key": "key-1"}),
        (
            {"headers": {"OpenAI-Organization": "org-1"}},
            {"authorization": "Bearer key-1", "openai-organization": "org-1"},
        ),
    ],
)
def test_a_question_carries_its_own_key_and_no_foreign_one(
    server: Far, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any], expected: dict[str, str]
) -> None:
    for name in ("API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID", "BASE_URL"):
        monkeypatch.setenv(f"OPENAI_{name}", "http://foreign.invalid/" if name == "BASE_URL" else "foreign")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Foreign: foreign\nAuthorization: Bearer foreign\napi-key: foreign")
    monkeypatch.setenv("HTTP_PROXY", "http://foreign.invalid/")
    made = Upstream(Settings(connect_timeout_seconds=5, commit_seconds=5))
    server.play(answering(ANSWER))
    answer = ask(made, Account("L", server.url, "key-1", **how))
    assert next(answer)[0] == Text("Hi")
    answer.close()
    made.close()
    sent = headers_of(server)
    assert {
        name: sent[name] for name in sent if name in {"authorization", "api-key", "openai-organization"}
    } == expected
    assert b"foreign" not in server.requests()[0]


def test_the_query_and_the_path_are_those_of_the_base_url(server: Far, upstream: Upstream) -> None:
    server.play(answering(ANSWER))
    base_url = f"{server.url}/deployments/a%20b/"
    answer = ask(upstream, Account("L", base_url, "k", query={"api-version": "1"}))
    assert [piece for batch in answer for piece in batch][-1] == Finish("stop", None)
    answer.close()
    line = server.requests()[0].partition(b"\r\n")[0]
    assert line == b"POST /v1/deployments/a%20b/chat/completions?api-version=1 HTTP/1.1"


def test_the_first_question_of_a_process_runs_no_program(server: Far) -> None:
    """The SDK would look for what machine this is; the first two thousand chats of a worker, two thousand times."""
    server.play(answering(ANSWER))
    assert printed("tests.upstream.first_question", server.url) == "True set()\n"


@pytest.mark.parametrize("key", ["", " ", "a b", "a\n", "a\r\nX-Evil: 1", "é", "a\0", "\u2028", "a\t", "\x7f"])
def test_a_key_that_cannot_be_one_is_refused_and_not_sent(server: Far, upstream: Upstream, key: str) -> None:
    for header in ("", "api-key"):
        with pytest.raises(Failure) as failure:
            ask(upstream, Account("Groq", server.url, key, key_header=header))
        assert (failure.value.status, failure.value.code) == (400, "bad_key")
        assert failure.value.message.startswith("Groq API Key")
        assert not key.strip() or key not in failure.value.message
    assert server.peers == []


@pytest.mark.parametrize(
    "base_url",
    [
        "nonsense", "http://", "ftp://127.0.0.1/", "http://a..b/", f"http://{'a' * 70}.invalid/", "http://[::1/",
        "http://a\nb/", "http://a\0b/", "http://999.1.1.1/", "http://127.0.0.1:99999/", "http://127.0.0.1:x/",
    ],
)  # fmt: skip
def test_an_endpoint_that_is_no_address_is_no_mistake_of_ours(upstream: Upstream, base_url: str) -> None:
    """Endpoints come from profiles, where anything can be written."""
    with pytest.raises(Failure) as failure:
        ask(upstream, Account("Azure OpenAI", base_url, "k"))
    assert failure.value.code != "internal"


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("fa\N{LATIN SMALL LETTER SHARP S}.example", "xn--fa-hia.example"),
        ("b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example", "xn--bcher-kva.example"),
        ("plain.example", "plain.example"),
    ],
)
def test_a_host_is_looked_up_by_the_name_that_it_has_in_the_url(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch, host: str, name: str
) -> None:
    """Python's own encoding is of 2003, when a sharp s was "ss": another host, to which the key would go."""
    asked: list[str] = []

    def look_up(host: str, *_: object, **__: object) -> NoReturn:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(Failure) as failure:
        ask(upstream, Account("L", f"https://{host}/v1", "k"))
    assert failure.value.code == "up_dns"
    assert asked == [name]
