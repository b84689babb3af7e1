"""Connections under requests: kept, tried again, bounded; what leaves, and what is handed up."""

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
from app.failure import Failure
from app.upstream import transport as transport_module
from app.upstream.transport import MAX_ERROR_BYTES, OUTBOUND_HEADERS, Body, Refusal, Transport
from tests.processes import wait_for

from .server import EVENTS, LAST, Peer, Script, Server, answering, chunked, holding, whole

pytestmark = pytest.mark.usefixtures("_no_leak")

SOON = 5.0
HASTILY = 0.1
SETTINGS = Settings(connect_timeout_seconds=SOON)


@pytest.fixture
def transport() -> Iterator[Transport]:
    with closing(SETTINGS) as made:
        yield made


@contextmanager
def closing(settings: Settings) -> Iterator[Transport]:
    made = Transport(settings)
    try:
        yield made
    finally:
        made.close()


def post(
    transport: Transport, server: Server, content: bytes = b"{}", seconds: float = SOON, **headers: str
) -> httpx2.Response:
    """Send a request whose response's headers are waited for so long."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return transport.handle_request(request_to(server.url, content, named, seconds))


def request_to(
    url: str, content: bytes = b"{}", headers: dict[str, str] | None = None, seconds: float = SOON
) -> httpx2.Request:
    patience = {"timeout": {"read": seconds}}
    return httpx2.Request("POST", url, content=content, headers=headers, extensions=patience)


def body_of(response: httpx2.Response) -> Body:
    found = response.extensions["body"]
    assert isinstance(found, Body)
    return found


def read(response: httpx2.Response) -> bytes:
    """Read an answer to its end, and let go of it."""
    body, found = body_of(response), b""
    while data := body.read(SOON):
        found += data
    assert data == b"", "nothing came for so long"
    body.close()
    return found


def broken(ask: Callable[[], object]) -> str:
    with pytest.raises(Failure) as failure:
        ask()
    assert failure.value.status == 500
    return failure.value.code


def serving(*answers: bytes) -> Script:
    """Make a script that answers request after request over one connection."""

    def script(peer: Peer) -> None:
        for sent in answers:
            peer.request()
            peer.send(sent)
        peer.wait()

    return script


# What leaves.


def test_a_request_is_written_with_the_headers_that_may_leave_and_no_other(
    server: Server, transport: Transport
) -> None:
    server.play(holding(whole(b"")))
    wanted = {
        "Authorization": "Bearer k",
        "Api-Key": "k",
        "OpenAI-Organization": "org",
        "Accept": "application/json",
        "Content-Type": "application/json",
        "User-Agent": "sluice",
    }
    foreign = {
        "OpenAI-Project": "p",
        "Cookie": "a=b",
        "X-Stainless-Lang": "python",
        "Accept-Encoding": "gzip",
        "Connection": "close",
        "Referer": "http://a.test/",
        "X-Forwarded-For": "10.0.0.1",
        "Host": "evil.test",
    }
    request = request_to(f"{server.url}/chat?v=1&x=%20", b'{"a":1}', wanted | foreign)
    read(transport.handle_request(request))
    head, _, content = server.requests()[0].partition(b"\r\n\r\n")
    line, *lines = head.decode().split("\r\n")
    assert line == "POST /v1/chat?v=1&x=%20 HTTP/1.1"
    assert dict(named.split(": ") for named in lines) == {
        "host": f"127.0.0.1:{server.port}",
        "accept-encoding": "identity",
        "content-length": "7",
        **{name.lower(): value for name, value in wanted.items()},
    }
    assert len(lines) == len(wanted) + 3
    assert content == b'{"a":1}'


def test_the_list_of_headers_that_may_leave_names_no_more_than_these() -> None:
    assert {name.decode() for name in OUTBOUND_HEADERS} == {
        "accept",
        "api-key",
        "authorization",
        "content-length",
        "content-type",
        "openai-organization",
        "user-agent",
    }


# What is handed up.


def test_a_cookie_of_a_provider_s_is_not_kept_for_the_next_user(server: Server) -> None:
    server.play(serving(whole(b"", EVENTS + b"Set-Cookie: a=b; Path=/\r\n")))
    with httpx2.Client(transport=Transport(SETTINGS), trust_env=False) as client:
        read(client.send(client.build_request("POST", server.url, content=b"{}"), stream=True))
        assert not list(client.cookies.jar)


NO_ENCODINGS = (
    *(b"identity", b"Identity", b"none", b"UTF-8", b"", b"identity, identity", b"utf-8, identity", b"us-ascii"),
    *(b"binary", b"chunked"),
)


@pytest.mark.parametrize("encoding", ["gzip", "br", "Deflate", "zstd", "gzip, identity", "identity,X-Gzip"])
def test_a_compressed_answer_is_refused(server: Server, transport: Transport, encoding: str) -> None:
    head = EVENTS + f"Content-Encoding: {encoding}\r\n".encode()
    server.play(holding(whole(gzip.compress(b"data: x\n\n" * 1000), head)))
    assert broken(lambda: post(transport, server)) == "up_encoding"
    server.wait_closed()


@pytest.mark.parametrize(
    "header",
    [
        *(b"Content-Encoding: %b\r\n" % name for name in NO_ENCODINGS),
        b"Vary: Accept-Encoding\r\n",
        b"",
    ],
)
def test_an_answer_that_is_as_it_is_is_not(server: Server, transport: Transport, header: bytes) -> None:
    server.play(holding(whole(b"data: x\n\n", EVENTS + header)))
    assert read(post(transport, server)) == b"data: x\n\n"


def test_a_compressed_refusal_keeps_its_status_and_is_not_unpacked(server: Server, transport: Transport) -> None:
    bomb = gzip.compress(b"x" * 10_000_000)
    server.play(holding(whole(bomb, b"HTTP/1.1 429 No\r\nContent-Encoding: gzip\r\n")))
    response = post(transport, server)
    assert (response.status_code, response.read()) == (429, bomb)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_handed_up_and_not_followed(server: Server, transport: Transport, status: int) -> None:
    server.play(holding(whole(b"", f"HTTP/1.1 {status} Moved\r\nLocation: {server.url}/elsewhere\r\n".encode())))
    response = post(transport, server)
    assert (response.status_code, response.read()) == (status, b"")
    assert len(server.requests()) == 1


def test_a_refusal_s_headers_and_body_are_handed_up(server: Server, transport: Transport) -> None:
    server.play(holding(chunked(b'{"mess', b'age": "No."}', head=b"HTTP/1.1 429 No\r\nRetry-After: 7\r\n") + LAST))
    response = post(transport, server)
    assert (response.status_code, response.headers["retry-after"]) == (429, "7")
    assert response.read() == b'{"message": "No."}'


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
def test_a_refusal_that_breaks_off_is_handed_up_as_far_as_it_came(
    server: Server, transport: Transport, sent: bytes, found: bytes
) -> None:
    server.play(answering(sent))
    response = post(transport, server)
    assert (response.status_code, response.read()) == (500, found)


def test_a_refusal_that_stalls_is_handed_up_without_its_rest(server: Server, transport: Transport) -> None:
    server.play(holding(REFUSED + b"Content-Length: 99\r\n\r\nhalf"))
    started = monotonic()
    response = post(transport, server)
    assert (response.status_code, response.read()) == (500, b"half")
    assert monotonic() - started < 2 + SOON
    server.wait_closed()


def test_a_refusal_that_trickles_is_cut(server: Server, transport: Transport) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(REFUSED + b"Content-Length: 9999999\r\n\r\n")
        while not server.peers[0].released.wait(0.02):
            peer.send(b"x")

    server.play(script)
    started = monotonic()
    assert set(post(transport, server).read()) == set(b"x")
    assert monotonic() - started < 2 + SOON


def test_a_huge_refusal_is_cut(server: Server, transport: Transport) -> None:
    server.play(holding(whole(b"x" * 10_000_000, REFUSED)))
    response = post(transport, server)
    assert response.status_code == 500
    assert MAX_ERROR_BYTES <= len(response.read()) <= 2 * MAX_ERROR_BYTES
    server.wait_closed()


# Late headers.


def test_when_the_headers_are_late_a_200_goes_out_and_the_body_comes_when_it_comes(server: Server) -> None:
    go_on = Event()

    def script(peer: Peer) -> None:
        peer.request()
        assert go_on.wait(SOON)
        peer.send(chunked(b"Hello") + LAST)
        peer.wait()

    server.play(script)
    with closing(SETTINGS) as transport:
        response = post(transport, server, seconds=HASTILY)
        body = body_of(response)
        assert response.status_code == 200
        assert not body.begun
        assert body.read(0.05) is None
        go_on.set()
        assert read(response) == b"Hello"
        assert body.begun


@pytest.mark.parametrize("status", [307, 401, 429, 500])
def test_a_refusal_whose_headers_are_late_is_raised_with_its_body(server: Server, status: int) -> None:
    go_on = Event()

    def script(peer: Peer) -> None:
        peer.request()
        assert go_on.wait(SOON)
        peer.send(whole(b'{"message": "No."}', f"HTTP/1.1 {status} No\r\nRetry-After: 7\r\n".encode()))
        peer.wait()

    server.play(script)
    with closing(SETTINGS) as transport:
        body = body_of(post(transport, server, seconds=HASTILY))
        go_on.set()
        with pytest.raises(Refusal) as refusal:
            body.read(SOON)
        assert refusal.value.response.status_code == status
        assert refusal.value.response.content == b'{"message": "No."}'
        assert refusal.value.response.headers["retry-after"] == "7"
        body.close()


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"", "up_reset"),
        (b"junk", "up_protocol"),
        (whole(b"zipped", EVENTS + b"Content-Encoding: gzip\r\n"), "up_encoding"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", "up_protocol"),
    ],
)
def test_what_fails_after_a_provisional_200_fails_in_the_body(server: Server, sent: bytes, code: str) -> None:
    go_on = Event()

    def script(peer: Peer) -> None:
        peer.request()
        assert go_on.wait(SOON)
        peer.send(sent)

    server.play(script)
    with closing(SETTINGS) as transport:
        body = body_of(post(transport, server, seconds=HASTILY))
        go_on.set()
        assert broken(lambda: body.read(SOON)) == code
        body.close()
        body.close()


def test_closing_before_the_headers_closes_the_connection(server: Server) -> None:
    server.play(holding())
    with closing(SETTINGS) as transport:
        body = body_of(post(transport, server, seconds=HASTILY))
        body.close()
        server.wait_closed()
        assert body.read(SOON) == b""


def test_closing_in_mid_answer_closes_the_connection(server: Server, transport: Transport) -> None:
    server.play(holding(chunked(b"Hello")))
    body = body_of(post(transport, server))
    assert body.read(SOON) == b"Hello"
    body.close()
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
def test_a_fresh_connection_that_fails_is_not_tried_again(
    server: Server, transport: Transport, sent: bytes, code: str
) -> None:
    server.play(answering(sent))
    assert broken(lambda: post(transport, server)) == code
    server.wait_closed()
    assert len(server.peers) == 1


def test_a_provider_that_cannot_be_reached_is_a_failure(transport: Transport) -> None:
    for url, code in (("http://127.0.0.1:1/", "up_connect"), ("http://sluice-test.invalid/", "up_dns")):
        request = request_to(url)
        assert broken(lambda request=request: transport.handle_request(request)) == code  # type: ignore[misc]


# Reuse.


def test_requests_that_follow_each_other_share_a_connection(server: Server, transport: Transport) -> None:
    server.play(serving(whole(b"1"), chunked(b"2") + LAST, whole(b"no", REFUSED), whole(b"4")))
    assert read(post(transport, server)) == b"1"
    assert read(post(transport, server)) == b"2"
    assert post(transport, server).read() == b"no"
    assert read(post(transport, server)) == b"4"
    assert len(server.peers) == 1
    assert len(server.requests()) == 4


def test_an_answer_given_up_right_before_its_last_chunk_still_leaves_its_connection(
    server: Server, transport: Transport
) -> None:
    server.play(serving(chunked(b"1") + LAST, whole(b"2")))
    body = body_of(post(transport, server))
    assert body.read(SOON) == b"1"
    body.close()
    assert read(post(transport, server)) == b"2"
    assert len(server.peers) == 1


def test_a_connection_that_was_closed_while_idle_is_replaced(server: Server, transport: Transport) -> None:
    server.play(answering(whole(b"1")), serving(whole(b"2")))
    assert read(post(transport, server)) == b"1"
    server.wait_closed()
    assert read(post(transport, server)) == b"2"
    assert len(server.requests()) == 2


@pytest.mark.parametrize("end", [Peer.close, Peer.reset])
def test_a_connection_that_dies_under_a_request_is_tried_again_once(
    server: Server, transport: Transport, end: Callable[[Peer], None]
) -> None:
    """The provider closes in the very moment in which the request is under way."""

    def dying(peer: Peer) -> None:
        peer.request()
        peer.send(whole(b"1"))
        peer.request()
        end(peer)

    server.play(dying, serving(whole(b"2")))
    assert read(post(transport, server, b"first")) == b"1"
    assert read(post(transport, server, b"second")) == b"2"
    assert [request.partition(b"\r\n\r\n")[2] for request in server.requests()] == [b"first", b"second", b"second"]


def test_a_second_death_is_a_failure(server: Server, transport: Transport) -> None:
    def dying(peer: Peer) -> None:
        peer.request()
        peer.send(whole(b"1"))
        peer.request()

    server.play(dying, answering())
    assert read(post(transport, server)) == b"1"
    assert broken(lambda: post(transport, server)) == "up_reset"
    assert len(server.peers) == 2


def test_a_connection_over_which_an_answer_began_is_not_tried_again(server: Server, transport: Transport) -> None:
    def dying(peer: Peer) -> None:
        peer.request()
        peer.send(whole(b"1"))
        peer.request()
        peer.send(b"HTTP/1.1 200 O")

    server.play(dying)
    assert read(post(transport, server)) == b"1"
    assert broken(lambda: post(transport, server)) == "up_reset"
    assert len(server.peers) == 1


def test_an_old_connection_is_not_used_again(
    server: Server, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_module, "MAX_CONNECTION_SECONDS", 0)
    server.play(serving(whole(b"1")), serving(whole(b"2")))
    assert read(post(transport, server)) == b"1"
    assert read(post(transport, server)) == b"2"
    server.wait_closed()


def test_idle_connections_are_bounded(server: Server, transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "MAX_IDLE_CONNECTIONS", 2)
    server.play(*[serving(whole(b"1"), whole(b"2"))] * 4)
    answers = [post(transport, server) for _ in range(4)]
    assert [read(answer) for answer in answers] == [b"1"] * 4
    wait_for(lambda: sum(closed.is_set() for closed in server.closed) == 2)
    assert [read(answer) for answer in [post(transport, server) for _ in range(2)]] == [b"2"] * 2
    transport.close()
    assert all(closed.wait(SOON) for closed in server.closed)


def test_idle_connections_that_were_closed_are_let_go_when_another_comes_back(
    server: Server, transport: Transport
) -> None:
    """The one used last is taken first, so nobody would ever look at those below it."""
    end = Event()

    def ending(peer: Peer) -> None:
        peer.request()
        peer.send(whole(b"1"))
        assert end.wait(SOON)

    server.play(ending, ending, serving(whole(b"1"), whole(b"2")))
    for answer in [post(transport, server) for _ in range(3)]:
        read(answer)
    end.set()
    server.wait_closed()
    server.wait_closed(1)
    wait_for(lambda: sum(connection.alive() for _, connection in transport._idle) == 1)  # noqa: SLF001
    read(post(transport, server))
    assert len(transport._idle) == 1  # noqa: SLF001 - nothing else shows it


def test_a_provider_that_never_left_a_connection_leaves_no_trace(server: Server, transport: Transport) -> None:
    """Endpoints come from profiles: there may be any number of them."""
    server.play(answering(EVENTS + b"Connection: close\r\n\r\n"))
    read(post(transport, server))
    assert not transport._idle  # noqa: SLF001 - nothing else shows it


def test_providers_do_not_share_connections(server: Server, transport: Transport) -> None:
    server.play(serving(whole(b"1")))
    with Server().play(serving(whole(b"2"))) as other:
        assert read(post(transport, server)) == b"1"
        assert read(post(transport, other)) == b"2"
        transport.close()


def test_answers_at_the_same_time_have_connections_of_their_own(server: Server) -> None:
    together = Barrier(3)

    def script(peer: Peer) -> None:
        number = peer.request()[-1:]
        together.wait(SOON)
        peer.send(whole(number))
        peer.wait()

    server.play(script, script, script)
    with closing(SETTINGS) as hasty:
        answers = [post(hasty, server, b"%d" % number, seconds=HASTILY) for number in range(3)]
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
def secured(certificate: Path) -> Iterator[Server]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate / "own.pem")
    with Server(tls) as running:
        yield running


def test_a_certificate_that_nobody_vouches_for_is_refused(secured: Server, transport: Transport) -> None:
    secured.play(holding())
    assert broken(lambda: post(transport, secured)) == "up_tls"
    assert secured.requests() == []


def test_a_certificate_for_another_name_is_refused(
    secured: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "authority.pem"))
    secured.play(holding())
    with closing(SETTINGS) as transport:
        request = request_to(secured.url.replace("127.0.0.1", "localhost"))
        assert broken(lambda: transport.handle_request(request)) == "up_tls"
    assert secured.requests() == []


def test_over_tls_a_read_can_wait_and_go_on_and_a_connection_is_used_again(
    secured: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch
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
    with closing(SETTINGS) as transport:
        response = post(transport, secured)
        body = body_of(response)
        assert body.read(SOON) == b"Hel"
        assert body.read(0) is None
        assert body.read(0.05) is None
        go_on.set()
        assert read(response) == b"lo"
        assert read(post(transport, secured)) == b"again"
    assert len(secured.peers) == 1


# Nothing is left open.


def test_no_descriptor_is_left_open_by_any_way_to_end(server: Server) -> None:
    """What each test here is checked for, once more: all of it over one transport."""
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
    with closing(SETTINGS) as transport:
        for _ in ends:
            try:
                response = post(transport, server, seconds=HASTILY)
                if response.is_success:
                    body_of(response).read(0.05)
                    body_of(response).close()
                else:
                    response.read()
            except Failure:
                pass
    assert all(closed.wait(SOON) for closed in server.closed)
