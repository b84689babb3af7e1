"""The migrations: from every release to this one, once, whoever starts at the same time."""

import subprocess
import threading

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from app.failure import Failure
from app.store import Store, migrate
from app.store.migrate import SCHEMA
from app.store.tables import metadata
from tests.processes import ROOT, environment_without, procfile, wait_for
from tests.store.crowd import PROCESSES, start_at_once
from tests.store.revisions import RELEASED, downgrade, released, upgrade
from tests.store.stores import FIRST, OpenStore, engine, is_sqlite, query, settings

VALUES = {("ada", "groq_api_key"): "one", ("ada", "mistral_api_key"): "two", ("bob", "groq_api_key"): "schlüssel"}
LOCKS = """
SELECT granted FROM pg_locks JOIN pg_database ON oid = database
WHERE locktype = 'advisory' AND datname = current_database() ORDER BY granted
"""


def values(store: Store) -> dict[tuple[str, str], str]:
    return {place: store.profiles.settings(place[0])[place[1]] for place in VALUES}


@pytest.mark.parametrize("revision", RELEASED)
def test_the_database_of_every_release_is_migrated_with_its_rows(
    store: Store, database_url: str, revision: str
) -> None:
    released(database_url, revision, VALUES)
    assert values(store) == VALUES
    assert store.tokens.create("ada")
    assert query(database_url, "SELECT count(*) FROM profiles") == [(2,)]


def test_the_way_back_and_forth_again_keeps_the_values(open_store: OpenStore, database_url: str) -> None:
    released(database_url, RELEASED[0], VALUES)
    upgrade(database_url)
    before = values(open_store())
    downgrade(database_url, RELEASED[0])
    statement = "SELECT user_id, name, value FROM settings ORDER BY user_id, name"
    assert query(database_url, statement) == [(*place, value) for place, value in VALUES.items()]
    assert values(open_store()) == before == VALUES
    downgrade(database_url, "base")
    assert open_store().profiles.settings("ada") == {}


def test_the_migrations_make_the_tables_that_the_code_knows(store: Store, database_url: str) -> None:
    store.database.prepare()
    with engine(database_url).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_a_database_of_a_newer_release_is_a_503_not_a_crash(open_store: OpenStore, database_url: str) -> None:
    open_store().database.prepare()
    query(database_url, "UPDATE alembic_version SET version_num = 'tomorrow'")
    later = open_store()
    with pytest.raises(Failure) as failure:
        later.database.prepare()
    assert (failure.value.status, failure.value.code) == (503, "db_unavailable")
    query(database_url, "UPDATE alembic_version SET version_num = '0002'")
    later.database.check()


def test_processes_started_at_once_migrate_once_with_one_key(database_url: str) -> None:
    keys = "" if is_sqlite(database_url) else FIRST
    released(database_url, RELEASED[0], {})
    log = start_at_once(database_url, keys)
    assert [line for line in log if "Running upgrade" in line] == [
        "Running upgrade 0001 -> 0002, Settings are encrypted, and users have tokens."
    ]
    store = Store(settings(database_url, keys))
    for number in range(PROCESSES):
        assert store.profiles.settings(f"user-{number}") == {"groq_api_key": f"value-{number}"}
    store.database.close()


REFUSALS = {
    "sqlite": "CREATE TRIGGER refuse BEFORE UPDATE ON settings BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
    "postgresql": "ALTER TABLE settings ADD CONSTRAINT refuse CHECK (length(value) < 20) NOT VALID",
}
"""What lets the migration's last step fail, as a full disk would."""
HEALED = {"sqlite": "DROP TRIGGER refuse", "postgresql": "ALTER TABLE settings DROP CONSTRAINT refuse"}


def test_a_migration_that_failed_halfway_begins_again(store: Store, database_url: str) -> None:
    kind = "sqlite" if is_sqlite(database_url) else "postgresql"
    released(database_url, RELEASED[0], VALUES)
    query(database_url, REFUSALS[kind])
    for _ in range(2):
        with pytest.raises(Failure) as failure:
            store.profiles.settings("ada")
        assert (failure.value.status, failure.value.code) == (503, "db_unavailable")
        assert query(database_url, "SELECT value FROM settings WHERE user_id = 'bob'") == [("schlüssel",)]
    query(database_url, HEALED[kind])
    assert values(store) == VALUES


def test_whoever_migrates_postgres_holds_a_lock_until_it_ends(
    postgres_url: str, open_postgres: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first process waits for a table, holding the lock; the second waits for the lock, and then the first dies."""
    released(postgres_url, RELEASED[0], VALUES)
    environment = environment_without({"DATABASE_URL": postgres_url, "VAULT_KEYS": FIRST})
    store = open_postgres()
    second = threading.Thread(target=store.database.migrate)
    with psycopg.connect(postgres_url) as table:
        table.execute(f"LOCK TABLE {SCHEMA}.settings".encode())
        first = subprocess.Popen(procfile("release"), cwd=ROOT, env=environment)
        wait_for(lambda: query(postgres_url, LOCKS) == [(True,)], 20)
        with monkeypatch.context() as patch:
            patch.setattr(migrate, "TURN_SECONDS", 0.5)
            with pytest.raises(Failure) as failure:
                store.database.migrate()
        assert failure.value.code == "db_unavailable", "it waits, but not for ever"
        second.start()
        wait_for(lambda: query(postgres_url, LOCKS) == [(False,), (True,)])
        first.kill()
        assert first.wait() == -9
        assert second.is_alive()
    second.join()
    assert query(postgres_url, LOCKS) == []
    assert values(store) == VALUES
