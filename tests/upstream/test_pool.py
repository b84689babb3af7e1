"""Connections under requests: kept, tried again, bounded; what is handed up, and when."""

import gzip
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier, Event
from time import monotonic

import httpx2
import pytest
import trustme

from app.config import Settings
from app.dialects import completions
from app.failure import Failure
from app.upstream import pool as pool_module
from app.upstream.account import Account
from app.upstream.call import Call
from app.upstream.egress import Origin, origin_of
from app.upstream.pool import MAX_ERROR_BYTES, Exchange, Pool, Refused
from tests.far import Far, Peer, Script
from tests.far.scripts import EVENTS, LAST, answering, chunked, dying, holding, whole
from tests.processes import wait_for

from .failures import broken

pytestmark = pytest.mark.usefixtures("_no_leak", "_no_authorities")

SOON = 5.0
HASTILY = 0.1
SETTINGS = Settings(connect_timeout_seconds=SOON)


@pytest.fixture
def pool() -> Iterator[Pool]:
    with closing(SETTINGS) as made:
        yield made


@contextmanager
def closing(settings: Settings) -> Iterator[Pool]:
    made = Pool(settings)
    try:
        yield made
    finally:
        made.close()


def post(pool: Pool, server: Far, content: bytes = b"{}", seconds: float = SOON) -> Exchange:
    """Send a request whose answer's headers are waited for so long."""
    return post_to(pool, origin_of(httpx2.URL(server.url)), content, seconds)


def post_to(pool: Pool, origin: Origin, content: bytes = b"{}", seconds: float = SOON) -> Exchange:
    request = b"POST /v1 HTTP/1.1\r\nhost: a.test\r\ncontent-length: %d\r\n\r\n%b" % (len(content), content)
    account = Account("Groq", "", "key-of-the-test")
    return pool.send(origin, request, Call(account, completions, monotonic() + seconds))


def read(exchange: Exchange) -> bytes:
    """Read an answer to its end, and let go of it."""
    found = b""
    while data := exchange.read(SOON):
        found += data
    assert data == b"", "nothing came for so long"
    exchange.close()
    return found


def refusal(exchange: Exchange) -> tuple[int, bytes]:
    """Read an answer that refuses: its status and its body."""
    assert exchange.is_refused
    refused = exchange.refusal()
    return refused.status, refused.content


def serving(*answers: bytes) -> Script:
    """Make a script that answers request after request over one connection."""

    def script(peer: Peer) -> None:
        for sent in answers:
            peer.request()
            peer.send(sent)
        peer.wait()

    return script


# What is handed up.


NO_ENCODINGS = (
    *(b"identity", b"Identity", b"none", b"UTF-8", b"", b"identity, identity", b"utf-8, identity", b"us-ascii"),
    *(b"binary", b"chunked"),
)


@pytest.mark.parametrize("encoding", ["gzip", "br", "Deflate", "zstd", "gzip, identity", "identity,X-Gzip"])
def test_a_compressed_answer_is_refused(server: Far, pool: Pool, encoding: str) -> None:
    head = EVENTS + f"Content-Encoding: {encoding}\r\n".encode()
    server.play(holding(whole(gzip.compress(b"data: x\n\n" * 1000), head)))
    assert broken(lambda: post(pool, server)) == "up_encoding"
    server.wait_closed()


@pytest.mark.parametrize(
    "header",
    [
        *(b"Content-Encoding: %b\r\n" % name for name in NO_ENCODINGS),
        b"Vary: Accept-Encoding\r\n",
        b"",
    ],
)
def test_an_answer_that_is_as_it_is_is_not(server: Far, pool: Pool, header: bytes) -> None:
    server.play(holding(whole(b"data: x\n\n", EVENTS + header)))
    assert read(post(pool, server)) == b"data: x\n\n"


def test_a_compressed_refusal_has_its_status_and_stays_packed(server: Far, pool: Pool) -> None:
    bomb = gzip.compress(b"x" * 10_000_000)
    server.play(holding(whole(bomb, b"HTTP/1.1 429 No\r\nContent-Encoding: gzip\r\n")))
    assert refusal(post(pool, server)) == (429, bomb)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_handed_up_and_not_followed(server: Far, pool: Pool, status: int) -> None:
    server.play(holding(whole(b"", f"HTTP/1.1 {status} Moved\r\nLocation: {server.url}/elsewhere\r\n".encode())))
    assert refusal(post(pool, server)) == (status, b"")
    assert len(server.requests()) == 1


def test_headers_and_body_of_a_refusal_are_handed_up(server: Far, pool: Pool) -> None:
    server.play(holding(chunked(b'{"mess', b'age": "No."}', head=b"HTTP/1.1 429 No\r\nRetry-After: 7\r\n") + LAST))
    exchange = post(pool, server)
    assert exchange.is_refused
    refused = exchange.refusal()
    assert (refused.status, refused.headers["retry-after"]) == (429, "7")
    assert refused.content == b'{"message": "No."}'


REFUSED = b"HTTP/1.1 500 No\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        (REFUSED + b"Content-Length: 99\r\n\r\nhalf", b"half"),
        (chunked(b"half", head=REFUSED), b"half"),
        (REFUSED + b"\r\nall of it", b"all of it"),
        (REFUSED + b"Content-Length: 0\r\n\r\n", b""),
    ],
)
def test_a_refusal_that_breaks_off_is_handed_up_as_it_came(server: Far, pool: Pool, sent: bytes, found: bytes) -> None:
    server.play(answering(sent))
    assert refusal(post(pool, server)) == (500, found)


def test_a_refusal_that_stalls_is_handed_up_without_its_rest(server: Far, pool: Pool) -> None:
    server.play(holding(REFUSED + b"Content-Length: 99\r\n\r\nhalf"))
    started = monotonic()
    assert refusal(post(pool, server)) == (500, b"half")
    assert monotonic() - started < 2 + SOON
    server.wait_closed()


def test_a_refusal_that_trickles_is_cut(server: Far, pool: Pool) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(REFUSED + b"Content-Length: 9999999\r\n\r\n")
        while not server.peers[0].wait(0.02):
            peer.send(b"x")

    server.play(script)
    started = monotonic()
    assert set(refusal(post(pool, server))[1]) == set(b"x")
    assert monotonic() - started < 2 + SOON


def test_a_huge_refusal_is_cut(server: Far, pool: Pool) -> None:
    server.play(holding(whole(b"x" * 10_000_000, REFUSED)))
    status, content = refusal(post(pool, server))
    assert status == 500
    assert MAX_ERROR_BYTES <= len(content) <= 2 * MAX_ERROR_BYTES
    server.wait_closed()


# Late headers.


def test_an_answer_whose_headers_are_late_comes_when_it_comes(server: Far) -> None:
    go_on = Event()

    def script(peer: Peer) -> None:
        peer.request()
        assert go_on.wait(SOON)
        peer.send(chunked(b"Hello") + LAST)
        peer.wait()

    server.play(script)
    with closing(SETTINGS) as pool:
        exchange = post(pool, server, seconds=HASTILY)
        assert exchange.head is None
        assert not exchange.is_refused
        assert exchange.read(0.05) is None
        go_on.set()
        assert read(exchange) == b"Hello"
        assert exchange.head is not None


@pytest.mark.parametrize("status", [307, 401, 429, 500])
def test_a_late_refusal_is_raised_with_its_body(server: Far, status: int) -> None:
    go_on = Event()

    def script(peer: Peer) -> None:
        peer.request()
        assert go_on.wait(SOON)
        peer.send(whole(b'{"message": "No."}', f"HTTP/1.1 {status} No\r\nRetry-After: 7\r\n".encode()))
        peer.wait()

    server.play(script)
    with closing(SETTINGS) as pool:
        exchange = post(pool, server, seconds=HASTILY)
        go_on.set()
        with pytest.raises(Refused) as refused:
            exchange.read(SOON)
        assert (refused.value.status, refused.value.headers["retry-after"]) == (status, "7")
        assert refused.value.content == b'{"message": "No."}'
        exchange.close()


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"", "up_reset"),
        (b"junk", "up_protocol"),
        (whole(b"zipped", EVENTS + b"Content-Encoding: gzip\r\n"), "up_encoding"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", "up_protocol"),
    ],
)
def test_what_fails_after_late_headers_fails_in_the_body(server: Far, sent: bytes, code: str) -> None:
    go_on = Event()

    def script(peer: Peer) -> None:
        peer.request()
        assert go_on.wait(SOON)
        peer.send(sent)

    server.play(script)
    with closing(SETTINGS) as pool:
        exchange = post(pool, server, seconds=HASTILY)
        go_on.set()
        assert broken(lambda: exchange.read(SOON)) == code
        exchange.close()
        exchange.close()


def test_closing_before_the_headers_closes_the_connection(server: Far) -> None:
    server.play(holding())
    with closing(SETTINGS) as pool:
        exchange = post(pool, server, seconds=HASTILY)
        exchange.close()
        server.wait_closed()
        assert exchange.read(SOON) == b""


def test_closing_in_mid_answer_closes_the_connection(server: Far, pool: Pool) -> None:
    server.play(holding(chunked(b"Hello")))
    exchange = post(pool, server)
    assert exchange.read(SOON) == b"Hello"
    exchange.close()
    server.wait_closed()


# Failures to get an answer.


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"", "up_reset"),
        (b"HTTP/1.1 200 O", "up_reset"),
        (b"\x00\x01\x02", "up_protocol"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000, "up_protocol"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", "up_protocol"),
    ],
    ids=["nothing", "half", "junk", "flood", "101"],
)
def test_a_fresh_connection_that_fails_is_not_tried_again(server: Far, pool: Pool, sent: bytes, code: str) -> None:
    server.play(answering(sent))
    assert broken(lambda: post(pool, server)) == code
    server.wait_closed()
    assert len(server.peers) == 1


def test_a_provider_that_cannot_be_reached_is_a_failure(pool: Pool) -> None:
    assert broken(lambda: post_to(pool, Origin("http", "127.0.0.1", 1))) == "up_connect"
    assert broken(lambda: post_to(pool, Origin("http", "sluice-test.invalid", 80))) == "up_dns"


# Reuse.


def test_requests_that_follow_each_other_share_a_connection(server: Far, pool: Pool) -> None:
    server.play(serving(whole(b"1"), chunked(b"2") + LAST, whole(b"no", REFUSED), whole(b"4")))
    assert read(post(pool, server)) == b"1"
    assert read(post(pool, server)) == b"2"
    assert refusal(post(pool, server)) == (500, b"no")
    assert read(post(pool, server)) == b"4"
    assert len(server.peers) == 1
    assert len(server.requests()) == 4


def test_an_answer_given_up_at_its_end_leaves_its_connection(server: Far, pool: Pool) -> None:
    server.play(serving(chunked(b"1") + LAST, whole(b"2")))
    exchange = post(pool, server)
    assert exchange.read(SOON) == b"1"
    exchange.close()
    assert read(post(pool, server)) == b"2"
    assert len(server.peers) == 1


def test_a_connection_that_was_closed_while_idle_is_replaced(server: Far, pool: Pool) -> None:
    server.play(answering(whole(b"1")), serving(whole(b"2")))
    assert read(post(pool, server)) == b"1"
    server.wait_closed()
    assert read(post(pool, server)) == b"2"
    assert len(server.requests()) == 2


@pytest.mark.parametrize("end", [Peer.close, Peer.reset])
def test_a_request_whose_connection_dies_is_tried_again_once(
    server: Far, pool: Pool, end: Callable[[Peer], None]
) -> None:
    """The provider closes in the very moment in which the request is under way."""
    server.play(dying(whole(b"1"), end=end), serving(whole(b"2")))
    assert read(post(pool, server, b"first")) == b"1"
    assert read(post(pool, server, b"second")) == b"2"
    assert [request.partition(b"\r\n\r\n")[2] for request in server.requests()] == [b"first", b"second", b"second"]


def test_a_second_death_is_a_failure(server: Far, pool: Pool) -> None:
    server.play(dying(whole(b"1")), answering())
    assert read(post(pool, server)) == b"1"
    assert broken(lambda: post(pool, server)) == "up_reset"
    assert len(server.peers) == 2


def test_a_request_whose_answer_began_is_not_tried_again(server: Far, pool: Pool) -> None:
    server.play(dying(whole(b"1"), b"HTTP/1.1 200 O"))
    assert read(post(pool, server)) == b"1"
    assert broken(lambda: post(pool, server)) == "up_reset"
    assert len(server.peers) == 1


def test_an_old_connection_is_not_used_again(server: Far, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "MAX_CONNECTION_SECONDS", 0)
    server.play(serving(whole(b"1")), serving(whole(b"2")))
    assert read(post(pool, server)) == b"1"
    assert read(post(pool, server)) == b"2"
    server.wait_closed()


def test_idle_connections_are_bounded(server: Far, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "MAX_IDLE_CONNECTIONS", 2)
    server.play(*[serving(whole(b"1"), whole(b"2"))] * 4)
    answers = [post(pool, server) for _ in range(4)]
    assert [read(answer) for answer in answers] == [b"1"] * 4
    wait_for(lambda: sum(closed.is_set() for closed in server.closed) == 2)
    assert [read(answer) for answer in [post(pool, server) for _ in range(2)]] == [b"2"] * 2
    pool.close()
    assert all(closed.wait(SOON) for closed in server.closed)


def test_closed_idle_connections_go_when_another_comes_back(server: Far, pool: Pool) -> None:
    """The one used last is taken first, so nobody would ever look at those below it."""
    end = Event()

    def ending(peer: Peer) -> None:
        peer.request()
        peer.send(whole(b"1"))
        assert end.wait(SOON)

    server.play(ending, ending, serving(whole(b"1"), whole(b"2")))
    for answer in [post(pool, server) for _ in range(3)]:
        read(answer)
    end.set()
    server.wait_closed()
    server.wait_closed(1)
    wait_for(lambda: sum(connection.alive() for _, connection in pool._idle) == 1)  # noqa: SLF001
    read(post(pool, server))
    assert len(pool._idle) == 1  # noqa: SLF001 - nothing else shows it


def test_a_provider_that_never_left_a_connection_leaves_no_trace(server: Far, pool: Pool) -> None:
    """Endpoints come from profiles: there may be any number of them."""
    server.play(answering(EVENTS + b"Connection: close\r\n\r\n"))
    read(post(pool, server))
    assert not pool._idle  # noqa: SLF001 - nothing else shows it


def test_providers_do_not_share_connections(server: Far, pool: Pool) -> None:
    server.play(serving(whole(b"1")))
    with Far().play(serving(whole(b"2"))) as other:
        assert read(post(pool, server)) == b"1"
        assert read(post(pool, other)) == b"2"
        pool.close()


def test_answers_at_the_same_time_have_connections_of_their_own(server: Far) -> None:
    together = Barrier(3)

    def script(peer: Peer) -> None:
        number = peer.request()[-1:]
        together.wait(SOON)
        peer.send(whole(number))
        peer.wait()

    server.play(script, script, script)
    with closing(SETTINGS) as pool:
        answers = [post(pool, server, b"%d" % number, seconds=HASTILY) for number in range(3)]
        assert [read(answer) for answer in answers] == [b"0", b"1", b"2"]
    assert len(server.peers) == 3


# TLS.


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate with its key, and the authority that vouches for it, of which nobody else knows."""
    path = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(path / "authority.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(path / "own.pem")
    return path


@pytest.fixture
def secured(certificate: Path) -> Iterator[Far]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate / "own.pem")
    with Far(tls) as running:
        yield running


def test_a_certificate_that_nobody_vouches_for_is_refused(secured: Far, pool: Pool) -> None:
    secured.play(holding())
    assert broken(lambda: post(pool, secured)) == "up_tls"
    assert secured.requests() == []


def test_a_certificate_for_another_name_is_refused(
    secured: Far, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "authority.pem"))
    secured.play(holding())
    with closing(SETTINGS) as pool:
        assert broken(lambda: post_to(pool, Origin("https", "localhost", secured.port))) == "up_tls"
    assert secured.requests() == []


def test_over_tls_reads_go_on_and_connections_are_used_again(
    secured: Far, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "authority.pem"))
    go_on = Event()

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(chunked(b"Hel"))
        assert go_on.wait(SOON)
        peer.send(b"2\r\nlo\r\n" + LAST)
        peer.request()
        peer.send(whole(b"again"))
        peer.wait()

    secured.play(script)
    with closing(SETTINGS) as pool:
        exchange = post(pool, secured)
        assert exchange.read(SOON) == b"Hel"
        assert exchange.read(0) is None
        assert exchange.read(0.05) is None
        go_on.set()
        assert read(exchange) == b"lo"
        assert read(post(pool, secured)) == b"again"
    assert len(secured.peers) == 1


# Nothing is left open.


def test_no_descriptor_is_left_open_by_any_way_to_end(server: Far) -> None:
    """What each test here is checked for, once more: all of it over one pool."""
    ends = [
        answering(b""),
        answering(b"junk"),
        answering(whole(b"x")),
        holding(chunked(b"x")),
        answering(chunked(b"x")),
        holding(whole(b"x", REFUSED)),
        holding(REFUSED + b"Content-Length: 9\r\n\r\n"),
        holding(),
        lambda peer: peer.reset(),
    ]
    server.play(*ends)
    with closing(SETTINGS) as pool:
        for _ in ends:
            try:
                exchange = post(pool, server, seconds=HASTILY)
                if exchange.is_refused:
                    exchange.refusal()
                else:
                    exchange.read(0.05)
                    exchange.close()
            except Failure:
                pass
    assert all(closed.wait(SOON) for closed in server.closed)
