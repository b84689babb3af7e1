"""An endpoint that a user chose, when it is connected to: looked up once, judged, and reached at that very address."""

import socket
import ssl
from collections.abc import Iterator

import pytest

from app.dialects import completions
from app.failure import Failure
from app.proxy import DIRECT, Proxy
from app.upstream.account import Account
from app.upstream.call import Call
from app.upstream.dial import dial
from app.upstream.egress import Origin
from tests.far import Far, Peer
from tests.far.scripts import forwarding
from tests.processes import printed

from .addresses import LOOPBACK, NOT_PUBLIC, bare
from .internet import ALSO_PUBLIC, PUBLIC, PUBLIC_6, Internet

pytestmark = pytest.mark.usefixtures("_no_leak", "_no_authorities")

SOON = 5.0
TLS = ssl.create_default_context()
CALL = Call(Account("Azure OpenAI", "", "key-of-the-test"), completions, 0)


def guarded(host: str, port: int = 443, proxy: Proxy = DIRECT, tls: ssl.SSLContext | None = None) -> socket.socket:
    return dial(Origin("https", host, port), tls or TLS, proxy, SOON, CALL, public_only=True)


def refused(host: str, port: int = 443, proxy: Proxy = DIRECT) -> str:
    with pytest.raises(Failure) as failure:
        guarded(host, port, proxy)
    return failure.value.code


# Every host that no user may choose, through the system's own resolver, with a listener behind it.


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket of this machine, to which whatever connects at all has connected before it goes on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)  # noqa: FBT003 - the standard library's
        yield listening


def port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def assert_untouched(listener: socket.socket) -> None:
    with pytest.raises(BlockingIOError):
        listener.accept()


@pytest.mark.parametrize("host", LOOPBACK)
def test_what_nobody_looks_at_reaches_this_machine(listener: socket.socket, host: str) -> None:
    """The list below would prove nothing if its hosts led nowhere."""
    dial(Origin("http", bare(host), port_of(listener)), TLS, DIRECT, SOON, CALL).close()
    listener.accept()[0].close()


@pytest.mark.parametrize("host", NOT_PUBLIC)
def test_a_host_that_is_not_public_is_not_connected_to(listener: socket.socket, host: str) -> None:
    """What is no name, and no address, to the resolver either is not found."""
    assert refused(bare(host), port_of(listener)) in {"blocked_endpoint", "up_dns"}
    assert_untouched(listener)


@pytest.mark.parametrize("host", LOOPBACK)
def test_what_leads_to_this_machine_is_blocked_for_that(listener: socket.socket, host: str) -> None:
    assert refused(bare(host), port_of(listener)) == "blocked_endpoint"
    assert_untouched(listener)


# Names.


def silent(peer: Peer) -> None:
    peer.wait()


@pytest.mark.parametrize("address", [PUBLIC, PUBLIC_6])
def test_a_public_name_is_reached_at_the_address_that_was_judged(
    internet: Internet, provider: Far, trusting: ssl.SSLContext, address: str
) -> None:
    internet.name("provider.test", [address], ["127.0.0.1"])
    internet.server_port = provider.play(silent).port
    guarded("provider.test", tls=trusting).close()
    assert (internet.asked, internet.reached) == (["provider.test"], [address])


def test_a_name_that_changes_its_mind_is_blocked_the_next_time(
    internet: Internet, provider: Far, trusting: ssl.SSLContext
) -> None:
    internet.name("provider.test", [PUBLIC], ["127.0.0.1"])
    internet.server_port = provider.play(silent).port
    guarded("provider.test", tls=trusting).close()
    assert refused("provider.test") == "blocked_endpoint"
    assert internet.reached == [PUBLIC]


@pytest.mark.parametrize(
    "answer",
    [
        ["127.0.0.1"],
        ["::1"],
        [PUBLIC, "127.0.0.1"],
        ["10.0.0.1", PUBLIC],
        [PUBLIC, PUBLIC_6, "::ffff:127.0.0.1"],
        [PUBLIC_6, "64:ff9b::7f00:1"],
        [PUBLIC, "fe80::1%lo"],
        [PUBLIC, ALSO_PUBLIC, "169.254.169.254"],
    ],
    ids=str,
)
def test_one_address_that_is_not_public_spoils_a_name(internet: Internet, answer: list[str]) -> None:
    internet.name("provider.test", answer)
    assert refused("provider.test") == "blocked_endpoint"
    assert (internet.asked, internet.reached) == (["provider.test"], [])


@pytest.mark.parametrize("host", ["provider.test.", "xn--bcher-kva.test", "PROVIDER.test"])
def test_a_name_is_judged_however_it_is_written(internet: Internet, host: str) -> None:
    internet.name(host, ["127.0.0.1"])
    assert refused(host) == "blocked_endpoint"
    assert (internet.asked, internet.reached) == ([host], [])


def test_a_second_public_address_is_tried_after_one_look_up(
    internet: Internet, provider: Far, trusting: ssl.SSLContext
) -> None:
    internet.name("provider.test", [PUBLIC, ALSO_PUBLIC], ["127.0.0.1"])
    internet.server_port = provider.play(silent).port
    internet.refused = {PUBLIC}
    guarded("provider.test", tls=trusting).close()
    assert (internet.asked, internet.reached) == (["provider.test"], [PUBLIC, ALSO_PUBLIC])


def test_a_public_address_does_not_help_a_server_of_another_name(
    internet: Internet, provider: Far, trusting: ssl.SSLContext
) -> None:
    internet.name("other.test", [PUBLIC])
    internet.server_port = provider.play(silent).port
    with pytest.raises(Failure) as failure:
        guarded("other.test", tls=trusting)
    assert failure.value.code == "up_tls"


# Through a proxy.


def test_a_proxy_connects_to_the_address_that_was_judged(
    internet: Internet, server: Far, provider: Far, trusting: ssl.SSLContext
) -> None:
    """Its own look-up could give another answer. TLS still wants the name."""
    internet.name("provider.test", [PUBLIC], ["127.0.0.1"])
    server.play(forwarding(provider.port))
    provider.play(silent)
    guarded("provider.test", proxy=proxy_at(internet, server.port), tls=trusting).close()
    assert internet.asked == ["provider.test", "proxy.test"]
    assert [line_of(request) for request in server.requests()] == [f"CONNECT {PUBLIC}:443 HTTP/1.1"]


def test_a_proxy_that_fails_is_asked_for_the_second_address(
    internet: Internet, server: Far, provider: Far, trusting: ssl.SSLContext
) -> None:
    def unreachable(peer: Peer) -> None:
        peer.requests.append(peer.head())
        peer.send(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")

    internet.name("provider.test", [PUBLIC_6, PUBLIC])
    server.play(unreachable, forwarding(provider.port))
    provider.play(silent)
    guarded("provider.test", proxy=proxy_at(internet, server.port), tls=trusting).close()
    lines = [f"CONNECT [{PUBLIC_6}]:443 HTTP/1.1", f"CONNECT {PUBLIC}:443 HTTP/1.1"]
    assert [line_of(request) for request in server.requests()] == lines


@pytest.mark.parametrize("answer", [["127.0.0.1"], [PUBLIC, "10.0.0.1"]], ids=str)
def test_a_proxy_hears_nothing_of_a_name_that_is_not_public(
    internet: Internet, listener: socket.socket, answer: list[str]
) -> None:
    internet.name("provider.test", answer)
    assert refused("provider.test", proxy=proxy_at(internet, port_of(listener))) == "blocked_endpoint"
    assert_untouched(listener)


@pytest.mark.parametrize("host", NOT_PUBLIC)
def test_a_proxy_hears_nothing_of_a_host_that_is_not_public(listener: socket.socket, host: str) -> None:
    """The proxy may stand where more can be reached than from here."""
    proxy = Proxy(f"http://127.0.0.1:{port_of(listener)}", "")
    assert refused(bare(host), proxy=proxy) in {"blocked_endpoint", "up_dns"}
    assert_untouched(listener)


def proxy_at(internet: Internet, port: int) -> Proxy:
    internet.name("proxy.test", ["127.0.0.1"])
    return Proxy(f"http://proxy.test:{port}", "")


def line_of(request: bytes) -> str:
    return request.partition(b"\r\n")[0].decode()


# In gevent's loop, whose resolver and sockets are its own.


@pytest.mark.parametrize("leads", [["127.0.0.1"], ["127.0.0.1", PUBLIC], [PUBLIC, "127.0.0.1"]], ids=str)
def test_a_name_is_judged_in_a_loop_of_gevent_too(listener: socket.socket, leads: list[str]) -> None:
    assert said_in_loop(str(port_of(listener)), "provider.test", *leads) == "blocked_endpoint\n"
    assert_untouched(listener)


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "::ffff:7f00:1", "localhost"])
def test_a_host_is_judged_in_a_loop_of_gevent_too(listener: socket.socket, host: str) -> None:
    assert said_in_loop(str(port_of(listener)), host) == "blocked_endpoint\n"
    assert_untouched(listener)


def said_in_loop(*arguments: str) -> str:
    return printed("tests.upstream.guarded", *arguments, is_patched=True)
