"""Two machines in small: two gunicorns on one Postgres and one Redis, behind nginx, of which parts die under load."""

import json
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count

import pytest
import redis
from cryptography.fernet import Fernet

from app import config
from app.store import Store
from tests import servers
from tests.client import HELLO, Reply, ask, connected, read
from tests.machine import slack
from tests.processes import Processes, Service, wait_for
from tests.servers import Server

LONG = "demo@pace-60@events-125"
"""An answer of seven and a half seconds."""
STREAMS = 12
MAX_STREAMS_PER_USER = 3


@dataclass
class Deployment:
    """The instances, what stands before them, and what they share."""

    instances: list[Service]
    proxy: Service
    postgres: Server
    redis: Server
    redis_url: str
    store: Store
    numbers: Iterator[int]

    def login(self) -> str:
        """Make a user with a key of their own; return the token."""
        user = f"user-{next(self.numbers)}"
        self.store.profiles.set(user, "openai_api_key", f"sk-of-{user}")
        return self.store.tokens.create(user)[1]

    def ask(self, token: str, model: str = "demo") -> Reply:
        return ask(self.proxy, "/api/chat/openai", body(model), authorization=f"Bearer {token}")

    @contextmanager
    def busy(self, tokens: list[str]) -> Iterator[list[Future[Reply]]]:
        """Have a stream running for each of these, on both instances."""
        begun: list[int] = []
        with ThreadPoolExecutor(len(tokens)) as readers:
            streams = [readers.submit(self._follow, token, begun) for token in tokens]
            wait_for(lambda: len(begun) == len(tokens), 5)
            assert begun == [200] * len(tokens)
            yield streams

    def _follow(self, token: str, begun: list[int]) -> Reply:
        with connected(self.proxy) as connection:
            connection.request("POST", "/api/chat/openai", body(LONG), {"Authorization": f"Bearer {token}"})
            response = connection.getresponse()
            begun.append(response.status)
            return read(response)

    def running(self) -> int:
        """Count the leases that Redis has of running chats."""
        with redis.Redis.from_url(self.redis_url, socket_timeout=2) as client:
            return sum(int(client.zcard(key)) for key in client.scan_iter("*") if client.type(key) == b"zset")


def body(model: str) -> bytes:
    return json.dumps({"chatSettings": {"model": model}, "messages": HELLO}).encode()


@contextmanager
def deployed(
    processes: Processes, environment: Mapping[str, str], postgres: Server, redis_server: Server, redis_url: str
) -> Iterator[Deployment]:
    """Run everything; the key of each user is their own."""
    with servers.database(postgres) as postgres_url:
        shared = {
            "DATABASE_URL": postgres_url,
            "REDIS_URL": redis_url,
            "VAULT_KEYS": Fernet.generate_key().decode(),
            "KEY_POLICY": "profile-first",
            "MAX_STREAMS_PER_USER": str(MAX_STREAMS_PER_USER),
            "RATE_LIMIT": "20/minute",
        }
        instances = [processes.fresh_service({**environment, **shared}, "gunicorn tests.patient:app") for _ in range(2)]
        store = Store(config.read(shared))
        with servers.nginx(*(instance.port for instance in instances)) as proxy:
            front = replace(instances[0], url=proxy.url, port=proxy.port)
            yield Deployment(instances, front, postgres, redis_server, redis_url, store, count())
        store.database.close()
        for instance in instances:
            assert "Traceback" not in instance.log.read_text()


@pytest.fixture(scope="module")
def deployment(
    processes: Processes,
    environment: Mapping[str, str],
    postgres: Server,
    redis_server: Server,
    redis_urls: Iterator[str],
) -> Iterator[Deployment]:
    """A deployment whose stores may die; they come back."""
    redis_server.start()
    with deployed(processes, environment, postgres, redis_server, next(redis_urls)) as found:
        yield found


@pytest.fixture
def mortal(
    processes: Processes, environment: Mapping[str, str], postgres: Server, redis_server: Server, redis_url: str
) -> Iterator[Deployment]:
    """A deployment of whose instances one may end."""
    with deployed(processes, environment, postgres, redis_server, redis_url) as found:
        yield found


def outcome(reply: Reply) -> tuple[int, str]:
    """Tell what a request got."""
    if reply.cut:
        return reply.status, "cut"
    return reply.status, "whole" if reply.status == 200 else reply.json()["code"]


def outcomes(streams: list[Future[Reply]]) -> Counter[tuple[int, str]]:
    return Counter(outcome(stream.result()) for stream in streams)


def is_gone(instance: Service) -> bool:
    """Tell whether nothing listens at an instance's port any more."""
    try:
        socket.create_connection(("127.0.0.1", instance.port)).close()
    except ConnectionRefusedError:
        return True
    return False


def test_limits_of_one_user_are_the_same_at_every_instance(deployment: Deployment) -> None:
    token = deployment.login()
    with ThreadPoolExecutor(6) as readers:
        streams = [readers.submit(deployment.ask, token, LONG) for _ in range(6)]
    found = outcomes(streams)
    assert found == {(200, "whole"): MAX_STREAMS_PER_USER, (429, "rate_limited"): 6 - MAX_STREAMS_PER_USER}
    refused = next(stream.result() for stream in streams if stream.result().status == 429)
    assert int(refused.headers["Retry-After"]) >= 1
    assert deployment.running() == 0
    found = Counter(outcome(deployment.ask(token)) for _ in range(20))
    assert found == {(200, "whole"): 14, (429, "rate_limited"): 6}


def test_without_the_database_known_users_are_answered(deployment: Deployment) -> None:
    tokens = [deployment.login() for _ in range(STREAMS)]
    stranger = deployment.login()
    known = deployment.login()
    for _ in range(4):  # until both instances have seen the one
        assert outcome(deployment.ask(known)) == (200, "whole")
    with deployment.busy(tokens) as streams, deployment.postgres.stopped():
        assert [outcome(deployment.ask(known)) for _ in range(4)] == [(200, "whole")] * 4
        refused = deployment.ask(stranger)
        assert (outcome(refused), refused.headers["Retry-After"]) == ((503, "db_unavailable"), "5")
        assert outcome(deployment.ask("sluice_" + "x" * 43)) == (503, "db_unavailable")
        assert outcomes(streams) == {(200, "whole"): STREAMS}
    assert wait_for(lambda: [outcome(deployment.ask(stranger)) for _ in range(2)] == [(200, "whole")] * 2)


def test_a_database_that_says_nothing_holds_nobody_up_for_long(deployment: Deployment) -> None:
    tokens = [deployment.login() for _ in range(STREAMS)]
    stranger, known = deployment.login(), deployment.login()
    for _ in range(4):
        assert outcome(deployment.ask(known)) == (200, "whole")
    with deployment.busy(tokens) as streams, deployment.postgres.paused():
        began = time.monotonic()
        assert outcome(deployment.ask(stranger)) == (503, "db_unavailable")
        assert time.monotonic() - began < 8 * slack()
        assert outcome(deployment.ask(known)) == (200, "whole")
        assert outcomes(streams) == {(200, "whole"): STREAMS}
    assert wait_for(lambda: outcome(deployment.ask(stranger)) == (200, "whole"))


def fallbacks(deployment: Deployment) -> list[int]:
    """Count how often each instance has told that it is without Redis."""
    return [instance.log.read_text().count("Redis cannot be used") for instance in deployment.instances]


def counted(instance: Service) -> str:
    """Tell where an instance says that limits are counted."""
    found: str = ask(instance, "/readyz", None, method="GET").json()["limits"]["counted"]
    return found


@pytest.mark.parametrize("death", ["stopped", "paused"])
def test_without_redis_chats_go_on_and_instances_count_alone(deployment: Deployment, death: str) -> None:
    tokens = [deployment.login() for _ in range(STREAMS)]
    other, before = deployment.login(), fallbacks(deployment)
    with deployment.busy(tokens) as streams, getattr(deployment.redis, death)():
        assert [outcome(deployment.ask(other)) for _ in range(6)] == [(200, "whole")] * 6
        assert outcomes(streams) == {(200, "whole"): STREAMS}
    assert all(now > number for now, number in zip(fallbacks(deployment), before, strict=True))
    wait_for(lambda: all(counted(instance) == "in Redis" for instance in deployment.instances))


def test_an_instance_that_is_stopped_breaks_no_stream(mortal: Deployment) -> None:
    tokens = [mortal.login() for _ in range(STREAMS)]
    others = [mortal.login() for _ in range(10)]
    with mortal.busy(tokens) as streams:
        mortal.instances[0].process.terminate()
        found = Counter(outcome(mortal.ask(other)) for other in others)
        assert set(found) <= {(200, "whole"), (503, "draining")}
        assert wait_for(lambda: outcome(mortal.ask(others[0])) == (200, "whole"))
        assert outcomes(streams) == {(200, "whole"): STREAMS}
    assert mortal.instances[0].process.wait(30) == 0


def test_streams_of_a_killed_instance_show_that_they_are_cut(mortal: Deployment) -> None:
    tokens = [mortal.login() for _ in range(STREAMS)]
    others = [mortal.login() for _ in range(10)]
    with mortal.busy(tokens) as streams:
        for pid in mortal.instances[0].pids():
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: is_gone(mortal.instances[0]))  # what it had taken before is nginx's to refuse
        assert [outcome(mortal.ask(other)) for other in others] == [(200, "whole")] * len(others)
        found = outcomes(streams)
    assert found == {(200, "whole"): STREAMS / 2, (200, "cut"): STREAMS / 2}
