"""A scripted provider, and the world beyond this machine."""

import ssl
from collections.abc import Iterator

import pytest
import trustme

from tests.far import Far

from .internet import Internet


@pytest.fixture
def server() -> Iterator[Far]:
    with Far() as running:
        yield running


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> Internet:
    return Internet(monkeypatch)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """What a client needs that trusts this authority."""
    tls = ssl.create_default_context()
    authority.configure_trust(tls)
    return tls


@pytest.fixture
def provider(authority: trustme.CA) -> Iterator[Far]:
    """A scripted provider behind TLS, whose name is `provider.test`."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("provider.test").configure_cert(tls)
    with Far(tls) as running:
        yield running
