"""The service and its database, as real processes: neither needs a restart when the other had one."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import pytest

from app.simulator import words
from app.store import Store
from app.store.database import CALL_SECONDS
from tests import raw
from tests.client import Reply, ask
from tests.faults import kernel
from tests.machine import slack
from tests.processes import Processes, Service, opened, wait_for
from tests.raw import connect
from tests.servers import PASSWORD, Server
from tests.store.stores import FIRST, is_sqlite, settings, sqlite_file
from tests.store.test_sqlite import locked

BODY = json.dumps({"chatSettings": {"model": "demo"}, "messages": [{"role": "user", "content": "Hello?"}]}).encode()
MISTRAL = "/api/profile/settings/mistral_api_key"
PRELOADED = "gunicorn --preload --workers 2 wsgi:app"


BEGUN = words(2)[1].encode()


def question(*headers: str) -> bytes:
    """Write a question that is answered for ever."""
    return raw.chat("demo@endless", raw.new_id(), *headers, provider="groq")


def get(service: Service, path: str) -> Reply:
    return ask(service, path, None, method="GET")


def chat(service: Service, token: str = "") -> tuple[int, str]:
    """Ask a question; return the status, and the code if it was refused."""
    reply = ask(service, "/api/chat/groq", BODY, authorization=token and f"Bearer {token}")
    return reply.status, "" if reply.status == 200 else reply.json()["code"]


@pytest.fixture
def database(postgres_url: str) -> Iterator[Store]:
    """The database of the service, from beside it."""
    store = Store(settings(postgres_url, FIRST))
    yield store
    store.database.close()


def test_the_service_outlives_postgres(
    processes: Processes, environment: Mapping[str, str], postgres: Server, postgres_url: str, database: Store
) -> None:
    with postgres.stopped():
        service = processes.fresh_service({**environment, "DATABASE_URL": postgres_url, "VAULT_KEYS": FIRST})
        assert (get(service, "/readyz").status, get(service, "/healthz").status) == (503, 200)
        assert chat(service) == (503, "db_unavailable")
    assert get(service, "/readyz").status == 200
    pids = service.pids()
    ada, bob, eve = (database.tokens.create(user)[1] for user in ("ada", "bob", "eve"))
    assert (chat(service, ada), chat(service)) == ((200, ""), (401, "unauth"))
    with connect(service.port, question(f"Authorization: Bearer {ada}")) as stream:
        stream.until(BEGUN)
        with postgres.stopped():
            for token, told in ((ada, (200, "")), (bob, (503, "db_unavailable")), (ada[:-1], (401, "unauth"))):
                started = monotonic()
                assert chat(service, token) == told
                assert monotonic() - started < CALL_SECONDS + slack() - 1
            ready = get(service, "/readyz")
            assert (ready.status, ready.json()["code"], ready.headers["Retry-After"]) == (503, "db_unavailable", "5")
            assert stream.take()
        assert [chat(service, token) for token in (ada, bob)] == [(200, "")] * 2
        with postgres.paused(), ThreadPoolExecutor() as clients:
            started, turns = monotonic(), 0
            asked = [clients.submit(chat, service, token) for token in (ada, eve)]
            while not all(each.done() for each in asked):
                assert stream.take()
                assert get(service, "/healthz").status == 200
                turns += 1
            assert monotonic() - started < CALL_SECONDS + slack()
            assert turns > 3, "the loop waits for the database, too"
            assert [each.result() for each in asked] == [(200, ""), (503, "db_unavailable")]
        assert chat(service, eve) == (200, "")
        assert stream.take()
    assert service.pids() == pids
    for secret in ("Traceback", PASSWORD, FIRST, ada, environment["GROQ_API_KEY"]):
        assert secret not in service.log.read_text()


def test_the_service_outlives_sqlite(processes: Processes, environment: Mapping[str, str], tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("not a folder")
    file = tmp_path / "folder" / "sluice.db"
    service = processes.fresh_service({**environment, "DATABASE_URL": f"sqlite:///{file}"})
    ready = get(service, "/readyz")
    assert (ready.status, ready.json()["code"], ready.headers["Retry-After"]) == (503, "db_unavailable", "5")
    assert chat(service) == (503, "db_unavailable")
    assert get(service, "/healthz").status == 200
    (tmp_path / "folder").unlink()
    assert get(service, "/readyz").status == 200
    with connect(service.port, question()) as stream, ThreadPoolExecutor() as clients:
        stream.until(BEGUN)
        with locked(file):
            started, turns = monotonic(), 0
            put = clients.submit(ask, service, MISTRAL, b'{"value": "one"}', method="PUT")
            while not put.done():
                assert stream.take()
                assert get(service, "/api/profile").status == 200
                turns += 1
            assert turns > 3, "the loop waits for the database, too"
            assert chat(service) == (200, "")
            assert (put.result().status, put.result().json()["code"]) == (503, "db_unavailable")
            assert 0.9 < monotonic() - started < 1 + 1.5 * slack()
        assert ask(service, MISTRAL, b'{"value": "one"}', method="PUT").status == 200
        assert stream.take()
    assert "Traceback" not in service.log.read_text()


def test_no_worker_uses_a_connection_from_before_its_fork(
    processes: Processes, postgres: Server, database_url: str
) -> None:
    """SQLite's locks are the process's, PostgreSQL's answers whoever's reads first: shared, both spoil what is read."""
    service = processes.fresh_service({"DATABASE_URL": database_url, "VAULT_KEYS": FIRST}, PRELOADED)
    wait_for(lambda: len(service.pids()) == 3)
    master, *workers = service.pids()

    def shared(pid: int) -> set[str]:
        sockets = {f"socket:[{row.inode}]" for row in kernel.rows(postgres.port) if row.remote == postgres.port}
        files = {str(path) for path in sqlite_file(database_url).parent.glob("sluice.db*")}
        return set(opened(pid)) & (files if is_sqlite(database_url) else sockets)

    assert [shared(pid) for pid in (master, *workers)] == [set()] * 3
    with ThreadPoolExecutor(10) as clients:

        def all_serve() -> bool:
            """Ask at once, so that each worker takes some."""
            replies = list(clients.map(lambda _: get(service, "/readyz"), range(10)))
            assert {reply.status for reply in replies} == {200}
            return all(shared(worker) for worker in workers)

        wait_for(all_serve)
    assert service.pids() == [master, *workers]
    assert not shared(master)
    if not is_sqlite(database_url):
        assert not shared(workers[0]) & shared(workers[1])
    assert "Traceback" not in service.log.read_text()
