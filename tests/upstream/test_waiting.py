"""The same in gevent's loop, as a chat waits in the service: what watches one socket is no watch on the next.

Descriptors are numbers, and the lowest free one is taken first: a new socket mostly has that of the one closed before.
"""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from contextvars import copy_context
from typing import TypeVar

import gevent
import httpx2
import pytest

from app.config import Settings
from app.upstream import asking
from app.upstream.asking import Asking
from app.upstream.dial import Proxy, dial
from app.upstream.egress import Origin
from app.upstream.transport import Transport
from app.waiting import LoopWait

from .server import Peer, Server, answering, full_listener, whole

SECONDS = 2.0

T = TypeVar("T")


@pytest.fixture(scope="module", autouse=True)
def _loop() -> None:
    """Have the loop before anybody counts descriptors: it keeps some of its own."""
    gevent.get_hub()


pytestmark = pytest.mark.usefixtures("_no_leak")


def in_loop(ask: Callable[[], T]) -> T:
    """Do what one chat does."""

    def run() -> T:
        with closing(LoopWait()) as wait:
            asking.begin(Asking(wait=wait))
            return ask()

    return copy_context().run(run)


def resolve(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    """Have every name be these ports of this machine."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


@contextmanager
def refusing() -> Iterator[int]:
    """Hold a port on which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.mark.parametrize("first", [refusing, full_listener], ids=["refuses", "does not answer"])
def test_a_name_s_second_address_is_reached_when_the_first_one(
    monkeypatch: pytest.MonkeyPatch, first: Callable[[], AbstractContextManager[int]]
) -> None:
    with first() as port, socket.create_server(("127.0.0.1", 0)) as listener:
        resolve(monkeypatch, port, listener.getsockname()[1])
        origin = Origin("http", "two.test", 80)
        with in_loop(lambda: dial(origin, ssl.create_default_context(), Proxy("", ""), SECONDS)) as sock:
            assert sock.getpeername() == listener.getsockname()


def test_a_kept_connection_that_dies_under_a_request_is_replaced_by_a_new_one_to_a_name(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look-up waits for a socket, too, and that is the first one to be made."""

    def dying(peer: Peer) -> None:
        peer.request()
        peer.send(whole(b"1"))
        peer.request()

    server.play(dying, answering(whole(b"2")))
    resolve(monkeypatch, server.port)
    request = httpx2.Request("POST", "http://one.test/", content=b"{}", extensions={"timeout": {"read": SECONDS}})
    with closing(Transport(Settings(connect_timeout_seconds=SECONDS))) as transport:

        def ask() -> bytes:
            with closing(transport.handle_request(request)) as response:
                return response.extensions["body"].read(SECONDS) or b""

        assert [in_loop(ask), in_loop(ask)] == [b"1", b"2"]
    assert len(server.peers) == 2
