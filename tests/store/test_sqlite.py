"""SQLite: files that are their owner's alone, read by all who may, and locks that nobody waits for too long."""

import fcntl
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic

import pytest

from app.failure import Failure
from app.store import Store, migrate
from tests.machine import slack
from tests.store.stores import settings

PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}
"""How SQLite is used; a database in WAL mode may lose the last transactions in a power cut unless it is told not to."""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "sluice.db"


def sqlite(database: Path | str) -> Store:
    return Store(settings(f"sqlite:///{database}"))


@pytest.fixture
def store(database: Path) -> Store:
    return sqlite(database)


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Be somebody else who writes to the database, and does not come to an end."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


def test_its_files_are_for_their_owner_alone(store: Store, database: Path) -> None:
    store.profiles.set("ada", "groq_api_key", "one")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in database.parent.iterdir()}
    assert modes.keys() >= {"sluice.db", "sluice.db-wal", "sluice.db-shm", "sluice.db.key", "sluice.db.lock"}
    assert set(modes.values()) == {0o600}


def test_a_file_that_was_readable_by_others_is_no_longer(store: Store, database: Path) -> None:
    database.parent.mkdir()
    database.touch(0o644)
    store.database.prepare()
    assert stat.S_IMODE(database.stat().st_mode) == 0o600


def test_what_another_process_writes_is_read_at_once(store: Store, database: Path) -> None:
    """Settings are cached, but not across a write of any process."""
    other = sqlite(database)
    for number in range(50):
        other.profiles.set("ada", "groq_api_key", str(number))
        assert store.profiles.settings("ada") == {"groq_api_key": str(number)}
    assert other.profiles.unset("ada", "groq_api_key")
    assert store.profiles.settings("ada") == {}


def test_a_locked_database_is_read_and_a_write_gives_up_in_time(store: Store, database: Path) -> None:
    store.profiles.set("ada", "groq_api_key", "one")
    with locked(database):
        assert store.profiles.settings("ada") == {"groq_api_key": "one"}
        begun = monotonic()
        with pytest.raises(Failure) as failure:
            store.profiles.set("ada", "groq_api_key", "two")
        assert (failure.value.status, failure.value.code) == (503, "db_unavailable")
        assert 0.9 < monotonic() - begun < 1 + slack()
    store.profiles.set("ada", "groq_api_key", "two")
    assert store.profiles.settings("ada") == {"groq_api_key": "two"}


def test_who_migrates_is_waited_for_but_not_for_ever(
    store: Store, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.parent.mkdir()
    with Path(f"{database}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with monkeypatch.context() as patch:
            patch.setattr(migrate, "TURN_SECONDS", 0.2)
            with pytest.raises(Failure) as failure:
                store.database.migrate()
            assert failure.value.code == "db_unavailable"
        waiting = threading.Thread(target=store.database.migrate)
        waiting.start()
        assert waiting.is_alive()
    waiting.join()
    assert store.profiles.settings("ada") == {}


@pytest.mark.parametrize(("name", "value"), PRAGMAS.items())
def test_every_connection_is_told_how_to_be_used(store: Store, name: str, value: object) -> None:
    assert store.database.run(lambda connection: connection.exec_driver_sql(f"PRAGMA {name}").scalar()) == value
