"""One scripted provider and one observed service for all rows; and what holds of every row."""

from collections import Counter
from collections.abc import Iterator
from zlib import crc32

import pytest

from tests.canaries.marks import found_in_files
from tests.far import Far, scripts
from tests.far.scripts import ANSWER
from tests.faults.sluice import CANARIES, HASTY, KEYS, STRICT, Sluice, environment, start
from tests.machine import slack
from tests.processes import Processes
from tests.raw import PROMPT

SENT = {
    "accept", "accept-encoding", "authorization", "content-length", "content-type", "host", "user-agent",
}  # fmt: skip
"""Every header that may reach a provider."""
SOURCES = ("profile", "environment")


@pytest.fixture(scope="session")
def far() -> Iterator[Far]:
    """The provider."""
    with Far() as listening:
        yield listening


@pytest.fixture(scope="session")
def sluice(processes: Processes, far: Far) -> Iterator[Sluice]:
    """The service, whose deadlines are far away."""
    yield from _served(processes, far, "patient")


@pytest.fixture(scope="session")
def hasty(processes: Processes, far: Far) -> Iterator[Sluice]:
    """The service in scaled time: a provider has less than a second for anything."""
    yield from _served(processes, far, "hasty", **HASTY)


@pytest.fixture(scope="session")
def strict(processes: Processes, far: Far) -> Iterator[Sluice]:
    """The service in scaled time: a client has less than a second for anything."""
    yield from _served(processes, far, "strict", **STRICT)


def _served(processes: Processes, far: Far, name: str, **changes: str) -> Iterator[Sluice]:
    """Start a service. At the end its log has one record for each chat, and nobody's secrets."""
    far.script(f"warm and {name}", scripts.ok)
    started = start(processes, far, environment(far, **changes))
    for mode, source in zip(("text", "sse"), SOURCES, strict=True):
        started.take_key_from(source)
        assert ANSWER in started.chat(f"warm and {name}", mode).text()
    started.calm()
    yield started
    assert_clean(started)
    assert "Traceback" not in started.service.log.read_text()
    twice = [name for name, count in Counter(one["requestId"] for one in started.records()).items() if count > 1]
    assert twice == []


@pytest.fixture(autouse=True)
def _settled(request: pytest.FixtureRequest, sluice: Sluice, far: Far) -> Iterator[None]:
    """Hold every test to what is true of all rows, which begin without a kept connection.

    Of a row's two protocols, one is asked for with the environment's key, and the other with the profile's.
    The provider was sent nothing but what it needs; its connections are closed within a second, but for those over
    which a whole answer came; nothing is left in the worker; it is alive, and quick.
    """
    others = {"hasty", "strict"}.intersection(request.fixturenames)
    services = [request.getfixturevalue(name) for name in others] or [sluice]
    for service in services:
        service.take_key_from(source_of(request.node.name))
    far.hang_up()
    before = len(far.all_asked())
    yield
    assert far.errors == []
    for asked in far.all_asked()[before:]:
        assert set(asked.headers) <= SENT, asked.headers
        assert asked.headers["accept-encoding"] == "identity"
        assert asked.headers["authorization"].removeprefix("Bearer ") in KEYS.values()
        assert asked.kept or asked.wait_closed(slack())
    for service in services:
        service.assert_calm()
        assert service.is_quick()


@pytest.fixture(params=["text", "sse"])
def mode(request: pytest.FixtureRequest) -> str:
    """The two protocols of the client."""
    return str(request.param)


@pytest.fixture
def model(request: pytest.FixtureRequest) -> str:
    """A model's name that no other test uses."""
    return str(request.node.name)


def source_of(name: str) -> str:
    """Choose whose key a test's chats are asked with: one or the other, but always the same."""
    return SOURCES[(crc32(name.replace("sse", "text").encode()) + ("sse" in name)) % 2]


def assert_clean(sluice: Sluice) -> None:
    """No prompt and no answer is in the log, and no key in it or in the database."""
    log = sluice.service.log.read_text()
    for secret in (PROMPT, ANSWER):
        assert secret not in log
    assert found_in_files(sluice.service.log.parent, CANARIES) == []
