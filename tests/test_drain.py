"""SIGTERM where nothing runs; where something does, `tests/faults/test_process_ending.py` is about it."""

import signal
from collections.abc import Mapping

import pytest

from tests.client import ask
from tests.processes import Processes, Service
from tests.raw import connect


@pytest.fixture
def leaving(processes: Processes, environment: Mapping[str, str]) -> Service:
    """A service of the test's own, with much time to drain."""
    return processes.fresh_service({**environment, "DRAIN_SECONDS": "25"})


def test_idle_connections_do_not_hold_the_process(leaving: Service) -> None:
    with connect(leaving.port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") as client:
        client.finish()
        leaving.process.send_signal(signal.SIGTERM)
        assert leaving.process.wait(20) == 0


def test_ready_is_not_the_same_as_alive(service: Service) -> None:
    assert ask(service, "/healthz", None, method="GET").status == 200
    assert ask(service, "/readyz", None, method="GET").status == 200
