"""Limiters whose leases and pauses are short; each stands for a process of its own."""

from collections.abc import Callable, Iterator
from threading import enumerate as threads
from typing import Any

import pytest

from app.config import Settings
from app.limits import Limiter, shared
from tests.processes import wait_for

LEASE_SECONDS, PAUSE_SECONDS = 1.5, 0.3

Make = Callable[..., Limiter]


@pytest.fixture(params=["here", "redis"])
def url(request: pytest.FixtureRequest) -> str:
    """Where limits are counted: in the process, or in an empty database in Redis."""
    return str(request.getfixturevalue("redis_url")) if request.param == "redis" else ""


@pytest.fixture
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for two seconds for a Redis that is well: the machine may be busy."""
    monkeypatch.setattr(shared, "TURNS", 100)


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Make a limiter at a URL. At the end of the test nothing is left of it, no thread and no connection."""
    monkeypatch.setattr(shared, "IDLE_SECONDS", 0.05)
    before = set(threads())

    def made(url: str, pause: float = PAUSE_SECONDS, **settings: Any) -> Limiter:  # noqa: ANN401 - any of the settings
        return Limiter(Settings(redis_url=url, **settings), lease_seconds=LEASE_SECONDS, pause_seconds=pause)

    yield made
    wait_for(lambda: set(threads()) <= before)
