"""Whether a provider takes a key: one request for the list of its models, of which nothing is read."""

from collections.abc import Iterator
from contextlib import closing
from time import monotonic

import pytest

from app import upstream as upstream_module
from app.config import Settings
from app.dialects import completions
from app.failure import Failure
from app.upstream import Upstream
from app.upstream.account import Account
from app.upstream.pool import ERROR_SECONDS
from tests.far import Far
from tests.far.scripts import EVENTS, answering, chunked, holding, whole
from tests.machine import slack

from .internet import PUBLIC, Internet

pytestmark = pytest.mark.usefixtures("_no_leak", "_no_authorities")

SOON = 5.0
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
LIST = whole(b'{"object":"list","data":[]}', JSON)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with closing(Upstream(Settings(connect_timeout_seconds=SOON))) as made:
        yield made


def refused(upstream: Upstream, server: Far) -> Failure:
    with pytest.raises(Failure) as failure:
        upstream.check(Account("Groq", server.url, "key-of-the-test"), completions)
    return failure.value


def error(status: bytes, body: bytes = b"", *headers: bytes) -> bytes:
    return whole(body, b"\r\n".join([b"HTTP/1.1 " + status, *headers, b""]))


def test_a_key_that_the_provider_takes_is_right(server: Far, upstream: Upstream) -> None:
    server.play(answering(LIST))
    upstream.check(Account("Groq", server.url, "key-1", query={"api-version": "1"}), completions)
    line, *lines = server.requests()[0].decode().removesuffix("\r\n\r\n").split("\r\n")
    assert line == "GET /v1/models?api-version=1 HTTP/1.1"
    assert dict(named.split(": ") for named in lines) == {
        "host": f"127.0.0.1:{server.port}",
        "accept": "application/json",
        "accept-encoding": "identity",
        "authorization": "Bearer key-1",
        "user-agent": "sluice",
    }


def test_the_list_is_not_waited_for(server: Far, upstream: Upstream) -> None:
    """A provider may have thousands of models; the status says it all."""
    server.play(holding(chunked(b'{"object":"list","data":[', head=JSON)))
    started = monotonic()
    upstream.check(Account("Groq", server.url, "key-1"), completions)
    server.wait_closed()
    assert monotonic() - started < 2 * slack()


def test_a_key_that_the_provider_refuses_is_wrong(server: Far, upstream: Upstream) -> None:
    server.play(answering(error(b"401 Unauthorized", b'{"error":{"message":"Invalid API Key"}}')))
    failure = refused(upstream, server)
    assert (failure.status, failure.code) == (401, "provider_auth")
    assert failure.message == "Groq API Key is incorrect. Please fix it in your profile settings."


@pytest.mark.parametrize(
    ("answer", "status", "code", "message"),
    [
        (error(b"403 Forbidden", b'{"error":"key-of-the-test may not"}'), 403, "provider_denied", "[key] may not"),
        (error(b"404 Not Found"), 404, "provider_bad_request", "Groq answered with status 404."),
        (error(b"429 Too Many", b"{}", b"Retry-After: 1"), 429, "provider_rate_limited", None),
        (error(b"503 Service Unavailable", b"", b"Retry-After: 1"), 503, "provider_overloaded", None),
        (error(b"500 Oops", b"<h1>Oops</h1>"), 500, "provider_error", "Groq answered with status 500."),
        (error(b"307 Temporary Redirect", b"", b"Location: /elsewhere"), 500, "up_redirect", None),
        (b"HTTP/1.1 ", 500, "up_reset", None),
        (b"junk\r\n\r\n", 500, "up_protocol", None),
        (whole(b"\x1f\x8b", EVENTS + b"Content-Encoding: gzip\r\n"), 500, "up_encoding", None),
    ],
    ids=["403", "404", "429", "503", "500", "307", "cut", "junk", "gzip"],
)
def test_any_other_answer_is_a_failure_and_asked_for_once(
    server: Far, upstream: Upstream, answer: bytes, status: int, code: str, message: str | None
) -> None:
    server.play(answering(answer))
    failure = refused(upstream, server)
    assert (failure.status, failure.code) == (status, code)
    assert message in (None, failure.message)
    assert len(server.requests()) == 1


@pytest.mark.parametrize("part", [b"", b"HTTP/1.1 200 OK\r\n"], ids=["nothing", "half a head"])
def test_a_provider_that_says_nothing_is_given_up_in_time(
    server: Far, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, part: bytes
) -> None:
    monkeypatch.setattr(upstream_module, "CHECK_SECONDS", 0.3)
    server.play(holding(part))
    started = monotonic()
    failure = refused(upstream, server)
    assert (failure.status, failure.code) == (500, "up_timeout")
    assert failure.message == "Groq took too long to answer. Please try again."
    assert 0.3 <= monotonic() - started < 2 * slack()
    server.wait_closed()


def test_an_error_that_is_not_ended_is_told_in_time(server: Far, upstream: Upstream) -> None:
    """All in all a check takes ten seconds at most."""
    assert upstream_module.CHECK_SECONDS + ERROR_SECONDS <= 10
    server.play(holding(chunked(b'{"error":{"mess', head=b"HTTP/1.1 401 Unauthorized\r\n")))
    started = monotonic()
    assert refused(upstream, server).code == "provider_auth"
    assert monotonic() - started < SOON


def test_a_key_that_cannot_be_one_is_not_sent(server: Far, upstream: Upstream) -> None:
    with pytest.raises(Failure) as failure:
        upstream.check(Account("Groq", server.url, "a\r\nX-Evil: 1"), completions)
    assert failure.value.code == "bad_key"
    assert server.closed == []


def test_an_endpoint_is_judged_as_for_a_chat(internet: Internet, upstream: Upstream) -> None:
    internet.name("provider.test", [PUBLIC, "10.0.0.1"])
    for base_url in ("https://provider.test/v1", "https://10.0.0.1/v1", "http://provider.test/v1"):
        with pytest.raises(Failure) as failure:
            upstream.check(Account("Azure OpenAI", base_url, "k", chosen_by_user=True), completions)
        assert failure.value.code == "blocked_endpoint"
    assert internet.reached == []
