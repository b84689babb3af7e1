"""The database: made on first use, private, current, and out of the way of running streams."""

import sqlite3
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from app.answer import Failure
from app.store import Store
from app.store.tables import metadata
from tests.client import ask
from tests.processes import ROOT, Processes, environment_without, wait_for


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "sluice.db"


@pytest.fixture
def store(database: Path) -> Store:
    return Store(f"sqlite:///{database}")


def test_a_profile_keeps_its_settings_to_itself(store: Store) -> None:
    store.set("ada", "groq_api_key", "one")
    store.set("ada", "groq_api_key", "two")
    store.set("bob", "groq_api_key", "three")
    assert (store.settings("ada"), store.settings("bob"), store.settings("eve")) == (
        {"groq_api_key": "two"},
        {"groq_api_key": "three"},
        {},
    )
    assert store.unset("ada", "groq_api_key")
    assert not store.unset("ada", "groq_api_key")
    assert store.settings("bob") == {"groq_api_key": "three"}


def test_the_file_is_its_owner_s_alone(store: Store, database: Path) -> None:
    store.set("ada", "groq_api_key", "one")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in database.parent.iterdir()}
    assert modes["sluice.db"] == 0o600
    assert set(modes.values()) == {0o600}


def test_what_another_process_writes_is_read_at_once(store: Store, database: Path) -> None:
    """Settings are remembered, but not across a write, whoever's it is."""
    other = Store(f"sqlite:///{database}")
    for number in range(50):
        other.set("ada", "groq_api_key", str(number))
        assert store.settings("ada") == {"groq_api_key": str(number)}
    assert other.unset("ada", "groq_api_key")
    assert store.settings("ada") == {}


def test_settings_are_remembered_while_nobody_writes(store: Store) -> None:
    store.set("ada", "groq_api_key", "one")
    assert store.settings("ada") == {"groq_api_key": "one"}
    assert store.settings("ada") is store.settings("ada")


def test_a_file_that_was_readable_by_others_is_no_longer(store: Store, database: Path) -> None:
    database.parent.mkdir()
    database.touch(0o644)
    store.prepare()
    assert stat.S_IMODE(database.stat().st_mode) == 0o600


def test_a_database_of_a_newer_release_is_a_503_not_a_crash(store: Store, database: Path) -> None:
    store.prepare()
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'tomorrow'")
    with pytest.raises(Failure) as failure:
        Store(f"sqlite:///{database}").prepare()
    assert failure.value.code == "db_unavailable"


def test_the_migrations_make_the_tables_that_the_code_knows(store: Store, database: Path) -> None:
    store.prepare()
    with create_engine(f"sqlite:///{database}").connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_processes_that_start_at_once_migrate_once(database: Path) -> None:
    code = f"from app.store import Store; Store('sqlite:///{database}').set('ada', 'groq_api_key', 'one')"
    started = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment_without({}), stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    assert [(process.communicate()[1], process.returncode) for process in started] == [(b"", 0)] * 4


def test_threads_that_make_one_profile_at_once_all_succeed(store: Store) -> None:
    store.prepare()
    users = [f"user-{number}" for number in range(25)]
    ready = threading.Barrier(4)

    def write(setting: str) -> None:
        for user in users:
            ready.wait()
            store.set(user, setting, "one")

    names = ["groq_api_key", "mistral_api_key", "openai_api_key", "openai_organization_id"]
    threads = [threading.Thread(target=write, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [sorted(store.settings(user)) for user in users] == [names] * len(users)


def test_many_threads_may_ask_at_once(store: Store) -> None:
    store.set("ada", "groq_api_key", "one")
    found = []
    threads = [threading.Thread(target=lambda: found.append(store.settings("ada"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [{"groq_api_key": "one"}] * 8


def test_a_database_that_cannot_be_used_is_a_503_and_comes_back(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("not a folder")
    store = Store(f"sqlite:///{tmp_path}/folder/sluice.db")
    for use in (store.check, store.prepare, lambda: store.settings("ada"), lambda: store.set("ada", "x", "y")):
        with pytest.raises(Failure) as failure:
            use()
        assert (failure.value.status, failure.value.code) == (503, "db_unavailable")
    (tmp_path / "folder").unlink()
    assert store.settings("ada") == {}


def test_the_service_starts_without_its_database_and_recovers(processes: Processes, tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("not a folder")
    service = processes.fresh_service({"DATABASE_URL": f"sqlite:///{tmp_path}/folder/sluice.db"})
    ready = ask(service, "/readyz", None, method="GET")
    assert (ready.status, ready.json()["code"], ready.headers["Retry-After"]) == (503, "db_unavailable", "5")
    body = b'{"chatSettings": {"model": "m"}, "messages": [{"role": "user", "content": "?"}]}'
    assert ask(service, "/api/chat/groq", body).json()["code"] == "db_unavailable"
    assert ask(service, "/healthz", None, method="GET").status == 200
    (tmp_path / "folder").unlink()
    assert ask(service, "/readyz", None, method="GET").status == 200
    assert "Traceback" not in service.log.read_text()


def test_no_worker_uses_a_connection_that_was_made_before_its_fork(processes: Processes) -> None:
    """SQLite's locks are the process's; a connection that is used on both sides of a fork can spoil the database."""
    service = processes.fresh_service({}, "gunicorn --preload --workers 2 wsgi:app")
    wait_for(lambda: len(service.pids()) == 3)
    workers = service.pids()[1:]
    assert [opened(worker, service.database) for worker in workers] == [[], []]
    with ThreadPoolExecutor(10) as clients:

        def all_serve() -> bool:
            """Ask at once, so that each worker takes some."""
            replies = list(clients.map(lambda _: ask(service, "/readyz", None, method="GET"), range(10)))
            assert {reply.status for reply in replies} == {200}
            return all(opened(worker, service.database) for worker in workers)

        wait_for(all_serve)
    assert service.pids()[1:] == workers
    assert opened(service.process.pid, service.database) == []
    assert "Traceback" not in service.log.read_text()


def opened(pid: int, database: Path) -> list[str]:
    """Name the files of a database that a process has open."""
    found = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(str(descriptor.readlink()))
    return [name for name in found if name.startswith(str(database))]


def test_a_locked_database_is_still_read_and_a_write_gives_up_in_time(store: Store, database: Path) -> None:
    store.set("ada", "groq_api_key", "one")
    locker = sqlite3.connect(database)
    locker.execute("BEGIN IMMEDIATE")
    assert store.settings("ada") == {"groq_api_key": "one"}
    with pytest.raises(Failure) as failure:
        store.set("ada", "groq_api_key", "two")
    assert (failure.value.status, failure.value.code) == (503, "db_unavailable")
    locker.close()
    store.set("ada", "groq_api_key", "two")
    assert store.settings("ada") == {"groq_api_key": "two"}


BUSY = """
from gevent import monkey; monkey.patch_all()
import sys, time, gevent
from app.answer import Failure
from app.store import Store
ticks = []
def tick():
    while True:
        ticks.append(time.monotonic())
        gevent.sleep(0.01)
gevent.spawn(tick)
started = time.monotonic()
try:
    Store(sys.argv[1]).set("ada", "groq_api_key", "two")
except Failure as failure:
    print(failure.code, len([tick for tick in ticks if tick > started]) > 20)
"""


def test_a_write_waits_for_the_lock_beside_the_event_loop(store: Store, database: Path) -> None:
    store.prepare()
    locker = sqlite3.connect(database)
    locker.execute("BEGIN IMMEDIATE")
    command = [sys.executable, "-c", BUSY, f"sqlite:///{database}"]
    said = subprocess.run(command, cwd=ROOT, env=environment_without({}), check=True, capture_output=True, text=True)
    locker.close()
    assert said.stdout == "db_unavailable True\n"


def test_postgres_without_its_driver_is_a_sentence() -> None:
    environment = environment_without({"DATABASE_URL": "postgres://user:secret@localhost/sluice"})
    done = subprocess.run(
        [sys.executable, "-c", "import wsgi"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 4
    assert done.stderr == "Sluice cannot start: DATABASE_URL needs the driver psycopg, which is not installed.\n"
