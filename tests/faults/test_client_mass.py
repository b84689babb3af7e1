"""Two thousand clients that leave in one moment."""

import re
import resource
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.faults.sluice import SECONDS, beating
from tests.machine import slack
from tests.processes import Processes, Service, Simulator, wait_for
from tests.raw import chat, new_id

CLIENTS = 2000


@pytest.fixture
def _descriptors() -> Iterator[None]:
    """Let this process have a descriptor for each client; many systems begin with 1,024 in all."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def outcomes(service: Service) -> Counter[bytes]:
    """Return how many chats ended in which way."""
    return Counter(re.findall(rb'"outcome":"(\w+)"', service.log.read_bytes()))


@pytest.mark.usefixtures("_descriptors")
def test_k25_two_thousand_clients_leave_at_once(processes: Processes, simulator: Simulator) -> None:
    """The worker goes on answering others at once, and every provider's connection is closed soon."""
    service = processes.fresh_service(
        {
            "OPENAI_API_KEY": "sk-of-the-crowd",
            "OPENAI_BASE_URL": f"{simulator.url}/openai/v1",
            "MAX_STREAMS": str(CLIENTS),
            "IDLE_TIMEOUT_SECONDS": "300",
        }
    )
    request = chat("demo@stall-3", new_id())
    with ExitStack() as crowd:
        clients = []
        for _ in range(CLIENTS):
            clients.append(crowd.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=SECONDS)))
            clients[-1].sendall(request)
        for client in clients:
            assert (first := client.recv(12)) == b"HTTP/1.1 200", first + client.recv(4000)
        with beating(service.port) as beats:
            wait_for(lambda: beats)
            beats.clear()
            left = time.monotonic()
            for client in clients:
                client.close()
            wait_for(lambda: sum(outcomes(service).values()) == CLIENTS, 2 * SECONDS)
            assert outcomes(service) == {b"client_gone": CLIENTS}
            took = time.monotonic() - left
            wait_for(lambda: len(beats) > 20)
    assert took < 5 * slack()  # it takes a third of a second where nothing else runs
    assert sorted(beats)[len(beats) * 9 // 10] < 200 * slack()
