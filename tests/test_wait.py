"""Asking in gevent's loop, as a chat waits in the service: what watches one socket is no watch on the next.

Descriptors are numbers, and the lowest free one is taken first: a new socket mostly has that of the one closed before.
"""

import socket
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from time import monotonic
from typing import TypeVar

import gevent
import pytest

from app.config import Settings
from app.dialects import completions
from app.proxy import DIRECT
from app.upstream.account import Account
from app.upstream.call import Call
from app.upstream.dial import dial
from app.upstream.egress import Origin
from app.upstream.pool import Pool
from app.wait import LoopWait
from tests.far import Far
from tests.far.scripts import answering, closed_port, dying, full_listener, whole

SECONDS = 2.0

T = TypeVar("T")


@pytest.fixture(scope="module", autouse=True)
def _loop() -> None:
    """Have the loop before anybody counts descriptors: it keeps some of its own."""
    gevent.get_hub()


pytestmark = pytest.mark.usefixtures("_no_leak")


def in_loop(ask: Callable[[Call], T]) -> T:
    """Do what one chat does."""
    with closing(LoopWait()) as wait:
        return ask(Call(Account("Groq", "", "key-of-the-test"), completions, monotonic() + SECONDS, wait))


def resolve(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    """Have every name be these ports of this machine."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


@pytest.mark.parametrize("first", [closed_port, full_listener], ids=["refuses", "does not answer"])
def test_a_second_address_is_reached_when_the_first_one(
    monkeypatch: pytest.MonkeyPatch, first: Callable[[], AbstractContextManager[int]]
) -> None:
    with first() as port, socket.create_server(("127.0.0.1", 0)) as listener:
        resolve(monkeypatch, port, listener.getsockname()[1])
        origin = Origin("http", "two.test", 80)
        tls = ssl.create_default_context()
        with in_loop(lambda call: dial(origin, tls, DIRECT, SECONDS, call)) as sock:
            assert sock.getpeername() == listener.getsockname()


def test_a_kept_connection_that_dies_is_replaced_by_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look-up waits for a socket, too, and that is the first one to be made."""

    def ask(call: Call) -> bytes:
        request = b"POST / HTTP/1.1\r\nhost: one.test\r\ncontent-length: 2\r\n\r\n{}"
        with closing(pool.send(Origin("http", "one.test", 80), request, call)) as exchange:
            return exchange.read(SECONDS) or b""

    with Far().play(dying(whole(b"1")), answering(whole(b"2"))) as server:
        resolve(monkeypatch, server.port)
        with closing(Pool(Settings(connect_timeout_seconds=SECONDS))) as pool:
            assert [in_loop(ask), in_loop(ask)] == [b"1", b"2"]
        assert len(server.peers) == 2
