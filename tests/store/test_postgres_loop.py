"""PostgreSQL in gevent's loop: whatever becomes of the server, its calls end in time, and the loop goes on meanwhile.

All of it over TLS, to a server whose name takes three quarters of a second to be found.
"""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, Popen

import psycopg
import pytest
import trustme

from app.store import Store
from app.store.database import CALL_SECONDS, CONNECT_SECONDS, MAX_CONNECTIONS
from tests import servers
from tests.machine import slack
from tests.processes import ROOT, environment_without, wait_for
from tests.servers import Server
from tests.store.looped import NAME, NAME_SECONDS
from tests.store.stores import BESIDE, FIRST, query, settings

RIGHT = {"right": MAX_CONNECTIONS}
DOWN = {"db_unavailable": MAX_CONNECTIONS}


@dataclass
class Told:
    """What became of calls that were made at once: how many ended how, and the slowest's seconds."""

    outcomes: dict[str, int]
    slowest: float
    slow: int
    """How many took longer than a second."""
    stuck: float
    """For how many seconds the loop could do nothing else, at worst."""


@dataclass
class Worker:
    """A process whose loop makes the calls."""

    process: Popen[str]
    url: str

    def calls(self, calls: int = MAX_CONNECTIONS, sleep: float = 0) -> Told:
        """Have it make calls at once, each of which the database is to take so many seconds for."""
        return self.ask("calls", calls=calls, sleep=sleep)

    def ask(self, name: str, **arguments: float | str) -> Told:
        """Have it do what `tests.store.looped` has under a name."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{name} {json.dumps(arguments)}\n")
        self.process.stdin.flush()
        told = Told(**json.loads(self.process.stdout.readline()))
        assert told.stuck < 0.6 * slack(), "the loop has waited too"
        return told


@pytest.fixture(scope="module")
def authority(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give the server a certificate for its name, for as long as these tests; return that of who signed it."""
    authority, data = trustme.CA(), postgres.folder / "data"
    certificate = authority.issue_cert(NAME)
    certificate.private_key_and_cert_chain_pem.write_to_path(data / "tls.pem")
    (data / "tls.pem").chmod(0o600)
    os.chown(data / "tls.pem", data.stat().st_uid, data.stat().st_gid)
    change(postgres, "SET ssl_cert_file = 'tls.pem'", "SET ssl_key_file = 'tls.pem'", "SET ssl = on")
    file = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(file)
    yield file
    postgres.start()
    change(postgres, "RESET ALL")


def change(postgres: Server, *settings: str) -> None:
    """Change the server's own settings; new connections have them."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        for setting in settings:
            connection.execute(f"ALTER SYSTEM {setting}".encode())
        connection.execute("SELECT pg_reload_conf()")


@pytest.fixture(scope="module")
def worker(postgres: Server, authority: Path) -> Iterator[Worker]:
    with servers.database(postgres) as url:
        far = url.replace("@127.0.0.1:", f"@{NAME}:") + f"?sslmode=verify-full&sslrootcert={authority}"
        environment = environment_without({"DATABASE_URL": far, "VAULT_KEYS": FIRST})
        command = [sys.executable, "-m", "gevent.monkey", "--module", "tests.store.looped"]
        with Popen(command, cwd=ROOT, env=environment, text=True, stdin=PIPE, stdout=PIPE) as process:
            yield Worker(process, url)


def connections(url: str) -> int:
    statement = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name <> :name"
    return int(query(url, statement, name=BESIDE)[0][0])


def test_its_name_is_looked_up_in_a_thread_and_checked_by_tls(worker: Worker) -> None:
    """The driver's own library does not know the name, and would stop the loop to ask for it."""
    told = worker.calls()
    assert told.outcomes == RIGHT
    assert told.slowest > NAME_SECONDS
    tls = "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE datname = current_database()"
    assert (True,) in query(worker.url, f"{tls} AND pid <> pg_backend_pid()")


def test_more_calls_than_connections_take_turns(worker: Worker) -> None:
    """Once all connections are there: a busy machine may take as long for these as a call has."""
    wait_for(lambda: worker.calls(sleep=0.1).outcomes == RIGHT)
    assert worker.calls(3 * MAX_CONNECTIONS, sleep=0.1).outcomes == {"right": 3 * MAX_CONNECTIONS}
    assert connections(worker.url) == MAX_CONNECTIONS


def test_a_silent_server_is_given_up_and_mixes_nothing_up(worker: Worker, postgres: Server) -> None:
    wait_for(lambda: worker.calls().outcomes == RIGHT)
    with postgres.paused():
        told = worker.calls()
        assert told.outcomes == DOWN
        assert told.slowest < CALL_SECONDS + slack()
    for _ in range(3):
        assert worker.calls().outcomes == RIGHT


def test_slow_calls_are_given_up_with_those_behind_them(worker: Worker) -> None:
    wait_for(lambda: worker.calls().outcomes == RIGHT)
    told = worker.calls(2 * MAX_CONNECTIONS, sleep=30)
    assert told.outcomes == {"db_unavailable": 2 * MAX_CONNECTIONS}
    assert told.slowest < CALL_SECONDS + slack()
    assert worker.calls().outcomes == RIGHT
    wait_for(lambda: connections(worker.url) <= MAX_CONNECTIONS)  # or the server still works for nobody


def test_known_users_wait_for_a_silent_server_once(worker: Worker, postgres: Server) -> None:
    """Each of them may find it out; from then on one asks now and then, and the others are answered from memory."""
    store = Store(settings(worker.url, FIRST))
    store.profiles.set("ada", "groq_api_key", "one")
    _, token = store.tokens.create("ada")
    store.database.close()
    assert worker.ask("met", token=token).outcomes == {"right": 1}
    with postgres.paused():
        told = worker.ask("known", token=token, clients=20, seconds=4.5)
    assert list(told.outcomes) == ["right"]
    assert told.slow <= (20 + 5) * slack()
    assert told.slowest < CALL_SECONDS + slack()


def test_a_lost_server_is_told_at_once_and_used_again_later(worker: Worker, postgres: Server) -> None:
    wait_for(lambda: worker.calls().outcomes == RIGHT)
    with postgres.stopped():
        for _ in range(2):
            told = worker.calls()
            assert told.outcomes == DOWN
            assert told.slowest < CONNECT_SECONDS + 0.75 * slack()
    for _ in range(2):
        assert worker.calls().outcomes == RIGHT
