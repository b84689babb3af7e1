"""A whole question to an endpoint that a user chose: what the SDK does on the way changes nothing."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trustme

from app.answer import Text
from app.config import Settings
from app.dialects import completions
from app.failure import Failure
from app.upstream import Upstream
from app.upstream.account import Account
from app.upstream.call import Trace
from tests.far import Far, Peer
from tests.far.scripts import LAST, answering, chunked, whole

from .addresses import NOT_PUBLIC
from .internet import PUBLIC, Internet

pytestmark = pytest.mark.usefixtures("_no_leak", "_no_authorities")

SOON = 5.0
HELLO = {"model": "m", "messages": [{"role": "user", "content": "Hello?"}]}
HI = chunked(b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n', b"data: [DONE]\n\n") + LAST
OURS = "https://provider.test/v1"


@pytest.fixture
def upstream(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    """The one of a service that trusts the test's authority."""
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    with closing(Upstream(Settings(connect_timeout_seconds=SOON, commit_seconds=SOON))) as made:
        yield made


def ask(upstream: Upstream, base_url: str, *, chosen_by_user: bool = True, trace: Trace | None = None) -> str:
    """Ask a question, and return its answer's text."""
    account = Account("Azure OpenAI", base_url, "secret", chosen_by_user=chosen_by_user)
    with closing(upstream.ask(account, completions, "/chat/completions", HELLO, trace=trace)) as answer:
        return "".join(piece.text for batch in answer for piece in batch if isinstance(piece, Text))


def failing(upstream: Upstream, base_url: str, trace: Trace | None = None) -> Failure:
    with pytest.raises(Failure) as failure:
        ask(upstream, base_url, trace=trace)
    return failure.value


def test_a_question_to_a_public_endpoint_is_answered(internet: Internet, provider: Far, upstream: Upstream) -> None:
    internet.name("provider.test", [PUBLIC], ["127.0.0.1"])
    internet.server_port = provider.play(answering(HI)).port
    assert ask(upstream, OURS) == "Hi"
    assert (internet.asked, internet.reached) == (["provider.test"], [PUBLIC])
    assert b"\r\nhost: provider.test\r\n" in provider.requests()[0]


def test_a_blocked_question_is_not_asked_twice(internet: Internet, upstream: Upstream) -> None:
    trace = Trace()
    internet.name("provider.test", ["10.0.0.1"])
    failure = failing(upstream, OURS, trace)
    assert (failure.status, failure.code) == (400, "blocked_endpoint")
    assert "10.0.0.1" not in failure.message
    assert (trace.attempts, internet.asked, internet.reached) == (1, ["provider.test"], [])


@pytest.mark.parametrize("host", NOT_PUBLIC)
def test_a_host_that_is_not_public_is_not_even_looked_up(internet: Internet, upstream: Upstream, host: str) -> None:
    assert failing(upstream, f"https://{host}/openai/v1").code == "blocked_endpoint"
    assert (internet.asked, internet.reached) == ([], [])


def test_no_user_gets_a_connection_that_the_operator_made(
    internet: Internet, provider: Far, upstream: Upstream
) -> None:
    def twice(peer: Peer) -> None:
        peer.request()
        peer.send(HI)
        peer.request()
        peer.send(HI)
        peer.wait()

    internet.name("provider.test", ["127.0.0.1"])
    internet.server_port = provider.play(twice).port
    assert [ask(upstream, OURS, chosen_by_user=False) for _ in range(2)] == ["Hi", "Hi"]
    assert failing(upstream, OURS).code == "blocked_endpoint"
    assert (len(provider.requests()), internet.reached) == (2, ["127.0.0.1"])


@pytest.mark.parametrize("location", [b"https://127.0.0.1/", b"http://169.254.169.254/", b"/elsewhere"])
def test_a_redirect_of_a_chosen_endpoint_is_not_followed(
    internet: Internet, provider: Far, upstream: Upstream, location: bytes
) -> None:
    internet.name("provider.test", [PUBLIC])
    moved = whole(b"", b"HTTP/1.1 307 Temporary Redirect\r\nLocation: %b\r\n" % location)
    internet.server_port = provider.play(answering(moved)).port
    assert failing(upstream, OURS).code == "up_redirect"
    assert (internet.asked, internet.reached) == (["provider.test"], [PUBLIC])


def test_an_endpoint_that_the_operator_chose_may_be_anywhere(server: Far, upstream: Upstream) -> None:
    server.play(answering(HI))
    assert ask(upstream, server.url, chosen_by_user=False) == "Hi"


def test_only_an_origin_that_is_listed_may_be_anywhere(server: Far) -> None:
    listed = Settings(commit_seconds=SOON, endpoint_allowlist=(f"http://127.0.0.1:{server.port}",))
    server.play(answering(HI))
    with closing(Upstream(listed)) as made:
        assert ask(made, server.url) == "Hi"
        assert failing(made, server.url.replace("127.0.0.1", "127.0.0.2")).code == "blocked_endpoint"
        assert failing(made, server.url.replace("127.0.0.1", "localhost")).code == "blocked_endpoint"
    assert len(server.closed) == 1


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Provider.TEST", "provider.test"),
        ("https://provider.test.:443", "provider.test."),
        ("https://fa\N{LATIN SMALL LETTER SHARP S}.test", "xn--fa-hia.test"),
        ("https://provider\N{IDEOGRAPHIC FULL STOP}test", "provider.test"),
        ("https://provider.test//evil.test", "provider.test"),
        ("https://provider.test/../..//evil.test", "provider.test"),
        ("https://provider.test/https://evil.test", "provider.test"),
        ("https://provider.test;evil.test", None),
        ("https://provider.test&.evil.test", None),
        ("https://provider.test%2f.evil.test", None),
        ("https://provider.test:443:evil.test", None),
        ("https://provider.test:443evil.test", None),
    ],
)
def test_what_was_checked_is_what_is_looked_up(
    internet: Internet, upstream: Upstream, url: str, host: str | None
) -> None:
    assert failing(upstream, f"{url}/openai/v1").code == ("up_dns" if host else "blocked_endpoint")
    assert internet.asked == ([host] if host else [])
