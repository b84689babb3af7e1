"""What is true of every provider is one test, run for each of them in each client protocol."""

import uuid

import pytest

from app.providers import PROVIDERS

PROTOCOLS = {"text": "", "ui": "text/event-stream"}


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> str:
    """A provider's name."""
    return str(request.param)


@pytest.fixture(params=list(PROTOCOLS.values()), ids=list(PROTOCOLS))
def accept(request: pytest.FixtureRequest) -> str:
    """What a client protocol puts into `Accept`."""
    return str(request.param)


@pytest.fixture
def marker() -> str:
    """A word by which the simulator's record of this very request is found."""
    return uuid.uuid4().hex
