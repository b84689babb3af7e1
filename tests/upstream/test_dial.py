"""A new connection: to a name or an address, over TLS or not, through a proxy or not, before a deadline."""

import socket
import ssl
from base64 import b64encode
from threading import Event, Thread
from time import monotonic
from typing import Any

import pytest

from app.dialects import completions
from app.proxy import DIRECT, Proxy
from app.upstream.account import Account
from app.upstream.call import Call
from app.upstream.dial import dial
from app.upstream.egress import Origin
from tests.far import Far, Peer
from tests.far.scripts import answering, forwarding, full_listener
from tests.machine import slack
from tests.processes import printed

from .failures import broken

pytestmark = pytest.mark.usefixtures("_no_leak", "_no_authorities")

SOON = 5.0
CALL = Call(Account("Groq", "", "key-of-the-test"), completions, 0)


def reach(host: str, port: int, scheme: str = "http", seconds: float = SOON, proxy: Proxy = DIRECT) -> socket.socket:
    return dial(Origin(scheme, host, port), ssl.create_default_context(), proxy, seconds, CALL)


def test_a_refused_connection_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert broken(lambda: reach("127.0.0.1", port)) == "up_connect"


@pytest.mark.parametrize("host", ["sluice-test.invalid", "", "a..b", "a" * 70 + ".invalid", "a b", "0.0.0.0.0"])
def test_a_name_that_is_not_found_is_a_failure(host: str) -> None:
    assert broken(lambda: reach(host, 80)) in {"up_dns", "up_connect"}


def test_a_provider_that_takes_no_connection_is_given_up_in_time() -> None:
    with full_listener() as port:
        started = monotonic()
        assert broken(lambda: reach("127.0.0.1", port, seconds=0.2)) == "up_timeout"
        assert monotonic() - started < SOON


def test_all_addresses_of_a_name_share_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    look_up = socket.getaddrinfo

    def many(host: str, *rest: Any, **more: Any) -> list[Any]:  # noqa: ANN401 - as the original
        found: list[Any] = look_up("127.0.0.1" if host == "many.test" else host, *rest, **more)
        return found * (20 if host == "many.test" else 1)

    monkeypatch.setattr(socket, "getaddrinfo", many)
    with full_listener() as port:
        started = monotonic()
        assert broken(lambda: reach("many.test", port, seconds=0.3)) == "up_timeout"
        assert monotonic() - started < 3 * slack()


# TLS.


def test_tls_to_a_plain_socket_is_a_failure(server: Far) -> None:
    def script(peer: Peer) -> None:
        peer.first()
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    server.play(script)
    assert broken(lambda: reach("127.0.0.1", server.port, "https")) == "up_tls"


def test_a_handshake_that_is_cut_is_a_failure(server: Far) -> None:
    def script(peer: Peer) -> None:
        peer.first()
        peer.reset()

    server.play(script)
    assert broken(lambda: reach("127.0.0.1", server.port, "https")) in {"up_tls", "up_connect"}


def test_a_handshake_that_never_ends_is_given_up_in_time(server: Far) -> None:
    server.play(lambda peer: peer.wait())
    started = monotonic()
    assert broken(lambda: reach("127.0.0.1", server.port, "https", 0.3)) == "up_timeout"
    assert monotonic() - started < SOON
    server.wait_closed()


def test_a_handshake_byte_by_byte_does_not_prolong_the_time(server: Far) -> None:
    stop = Event()

    def script(peer: Peer) -> None:
        record = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc"
        while not stop.wait(0.02):
            peer.send(record[:1] or b"\0")
            record = record[1:]

    server.play(script)
    result: list[str] = []
    thread = Thread(target=lambda: result.append(broken(lambda: reach("127.0.0.1", server.port, "https", 0.5))))
    thread.start()
    thread.join(SOON)
    stop.set()
    late = thread.is_alive()
    thread.join(SOON)
    assert not late
    assert result == ["up_timeout"]


def test_a_name_that_is_slow_to_find_is_given_up_in_time() -> None:
    """Only where gevent waits can a look-up be left; the service is one such place."""
    assert printed("tests.upstream.slow_name", is_patched=True) in {"up_dns True\n", "up_timeout True\n"}


def test_an_address_of_version_6_is_connected_to() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        reach("::1", listener.getsockname()[1]).close()


def test_a_dead_first_address_leaves_time_for_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    with full_listener() as full, socket.create_server(("127.0.0.1", 0)) as listener:
        addresses = [("127.0.0.1", full), listener.getsockname()]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        with reach("two.test", 80, seconds=1) as sock:
            assert sock.getpeername() == listener.getsockname()


# Through a proxy.


@pytest.mark.parametrize("status", [b"200 Connection established", b"200 ", b"200", b"204 No Content", b"299"])
def test_a_provider_is_reached_over_a_proxy_that_sees_nothing(
    server: Far, provider: Far, trusting: ssl.SSLContext, status: bytes
) -> None:
    """A proxy need not say it in words, and any status of success will do (RFC 9112, section 4; RFC 9110, 9.3.6)."""
    server.play(forwarding(provider.port, status))
    provider.play(answering(b"HTTP/1.1 204 No Content\r\n\r\n"))
    proxy = Proxy(f"http://ada:p%40ss@127.0.0.1:{server.port}", "other.test")
    with dial(Origin("https", "provider.test", 443), trusting, proxy, SOON, CALL) as sock:
        sock.settimeout(SOON)
        sock.sendall(b"POST / HTTP/1.1\r\nContent-Length: 6\r\n\r\nsecret")
        assert sock.recv(100).startswith(b"HTTP/1.1 204")
    credentials = b64encode(b"ada:p@ss").decode()
    assert server.requests() == [
        b"CONNECT provider.test:443 HTTP/1.1\r\nHost: provider.test:443\r\n"
        + f"Proxy-Authorization: Basic {credentials}\r\n\r\n".encode()
    ]
    assert provider.requests() == [b"POST / HTTP/1.1\r\nContent-Length: 6\r\n\r\nsecret"]


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "up_connect"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "up_connect"),
        (b"", "up_connect"),
        (b"junk", "up_connect"),
        (b"HTTP/1.1 2000 Odd\r\n\r\n", "up_connect"),
        (b"SMTP/1.1 200 OK\r\n\r\n", "up_connect"),
        (b"x" * 40_000, "up_connect"),
    ],
    ids=["407", "502", "nothing", "junk", "2000", "another protocol", "too much"],
)
def test_a_proxy_that_does_not_connect_is_a_failure(server: Far, reply: bytes, code: str) -> None:
    def script(peer: Peer) -> None:
        peer.head()
        peer.send(reply)

    server.play(script)
    proxy = Proxy(f"http://127.0.0.1:{server.port}", "")
    assert broken(lambda: reach("provider.test", 443, "https", proxy=proxy)) == code


def test_a_proxy_that_says_nothing_is_given_up_in_time(server: Far) -> None:
    server.play(lambda peer: peer.wait())
    proxy = Proxy(f"http://127.0.0.1:{server.port}", "")
    started = monotonic()
    assert broken(lambda: reach("provider.test", 443, "https", 0.3, proxy)) == "up_timeout"
    assert monotonic() - started < SOON
    server.wait_closed()
