"""A scripted provider, and a watch on the sockets that are left."""

import gc
import ssl
from collections.abc import Iterator

import pytest
import trustme

from tests.machine import slack
from tests.processes import opened

from .internet import Internet
from .server import Server


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> Internet:
    return Internet(monkeypatch)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def provider(authority: trustme.CA) -> Iterator[Server]:
    """A scripted provider behind TLS, whose name is `provider.test`."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("provider.test").configure_cert(tls)
    with Server(tls) as running:
        yield running


@pytest.fixture
def _no_leak() -> Iterator[None]:
    """See that as many descriptors are open after a test as before, without help of the garbage collector."""
    slack()  # opens what stays open
    before = _descriptors()
    gc.disable()
    try:
        yield
        assert _descriptors() == before
    finally:
        gc.enable()


def _descriptors() -> list[str]:
    """Name what this process has open; sockets are counted, since each has its own number."""
    return sorted(name.partition(":[")[0] for name in opened("self"))
