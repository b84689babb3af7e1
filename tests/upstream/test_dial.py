"""A new connection: to a name or an address, over TLS or not, through a proxy or not, before a deadline."""

import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from time import monotonic
from typing import Any

import pytest

from app.answer import Failure
from app.upstream.dial import Origin, Proxy, dial
from tests.processes import ROOT

from .server import Peer, Server

pytestmark = pytest.mark.usefixtures("_no_leak")

SOON = 5.0
DIRECT = Proxy("", "")


def broken(read: Callable[[], object]) -> str:
    with pytest.raises(Failure) as failure:
        read()
    assert failure.value.status == 500
    return failure.value.code


def reach(host: str, port: int, scheme: str = "http", seconds: float = SOON, proxy: Proxy = DIRECT) -> socket.socket:
    return dial(Origin(scheme, host, port), ssl.create_default_context(), proxy, seconds)


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
        assert monotonic() - started < 3


@contextmanager
def full_listener() -> Iterator[int]:
    """Listen on a port whose queue of connections is full, so that the next one is left without an answer."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.settimeout(0)
            sock.connect_ex(listener.getsockname())
        try:
            yield listener.getsockname()[1]
        finally:
            for sock in waiting:
                sock.close()


# TLS.


def test_tls_to_a_plain_socket_is_a_failure(server: Server) -> None:
    def script(peer: Peer) -> None:
        peer.first()
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    server.play(script)
    assert broken(lambda: reach("127.0.0.1", server.port, "https")) == "up_tls"


def test_a_handshake_that_is_cut_is_a_failure(server: Server) -> None:
    def script(peer: Peer) -> None:
        peer.first()
        peer.reset()

    server.play(script)
    assert broken(lambda: reach("127.0.0.1", server.port, "https")) in {"up_tls", "up_connect"}


def test_a_handshake_that_never_ends_is_given_up_in_time(server: Server) -> None:
    server.play(lambda peer: peer.wait())
    started = monotonic()
    assert broken(lambda: reach("127.0.0.1", server.port, "https", 0.3)) == "up_timeout"
    assert monotonic() - started < SOON
    assert server.closed[0].wait(SOON)


def test_a_handshake_byte_by_byte_does_not_prolong_the_time(server: Server) -> None:
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


SLOW_NAME = """
from gevent import monkey; monkey.patch_all()
import socket, time
from app.answer import Failure
from app.upstream.dial import Origin, Proxy, dial
socket.getaddrinfo = lambda *_, **__: time.sleep(30)
started = time.monotonic()
try:
    dial(Origin("http", "slow.test", 80), None, Proxy("", ""), 0.3)
except Failure as failure:
    print(failure.code, time.monotonic() - started < 15)
"""


def test_a_name_that_is_looked_up_for_too_long_is_given_up_in_time() -> None:
    """Only where gevent waits can a look-up be left; the service is one such place."""
    command = [sys.executable, "-c", SLOW_NAME]
    said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout
    assert said in {"up_dns True\n", "up_timeout True\n"}
