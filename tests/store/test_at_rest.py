"""What is kept is kept encrypted: no file of a database, and no dump of one, holds what a user has set."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.store import Store
from tests.store.revisions import RELEASED, released, upgrade
from tests.store.stores import FIRST, SECOND, OpenStore, everything, settings

VALUES = {
    ("ada", "groq_api_key"): "gsk_canary-1",
    ("ada", "azure_openai_deployments"): '{"gpt": "' + "canary-2" * 1200 + '"}',
    ("bob", "groq_api_key"): "schlüssel-canary-3",
    ("bob", "azure_openai_endpoint"): "canary-4",
}
"""Among them one that fills pages of its own."""


def test_no_plain_value_is_in_the_database_after_any_change(open_store: OpenStore, database_url: str) -> None:
    store = open_store(FIRST)
    for (user, name), value in VALUES.items():
        store.profiles.set(user, name, value)
    _, token = store.tokens.create("ada")
    kept = everything(database_url)
    assert b"azure_openai_endpoint" in kept, "or nothing at all was searched"
    assert b"canary" not in kept
    for (user, name), value in VALUES.items():
        store.profiles.set(user, name, f"{value}-again")
        assert store.profiles.settings(user)[name] == f"{value}-again"
    store.profiles.unset("ada", "azure_openai_deployments")
    assert store.profiles.add("eve", {"groq_api_key": "canary-5"}) == 1
    assert open_store(SECOND, FIRST).profiles.rotate() == (4, 0, 0)
    kept = everything(database_url)
    for secret in ("canary", token, FIRST, SECOND):
        assert secret.encode() not in kept


@pytest.mark.parametrize("revision", RELEASED)
def test_nothing_that_was_in_plain_text_is_left_by_the_migration(database_url: str, revision: str) -> None:
    released(database_url, revision, VALUES)
    assert b"canary-4" in everything(database_url), "or the migration has nothing to encrypt"
    store = Store(settings(database_url, FIRST))
    assert {(user, name): store.profiles.settings(user)[name] for user, name in VALUES} == VALUES
    assert b"canary" not in everything(database_url)
    store.database.close()
    assert b"canary" not in everything(database_url)


@pytest.mark.parametrize("revision", RELEASED)
def test_replaced_values_are_not_left_in_the_file(tmp_path: Path, revision: str) -> None:
    """SQLite leaves what was replaced or removed in the free parts of its file, unless it was built not to."""
    url = f"sqlite:///{tmp_path}/sluice.db"
    upgrade(url, revision)
    with closing(sqlite3.connect(tmp_path / "sluice.db", isolation_level=None)) as earlier:
        earlier.execute("PRAGMA journal_mode=WAL")
        earlier.execute("PRAGMA secure_delete=OFF")
        earlier.execute("INSERT INTO profiles (user_id) VALUES ('ada')")
        for number in range(20):
            row = ("ada", f"setting-{number:02}", f"removed-canary-{number}" * 400)
            earlier.execute("INSERT INTO settings (user_id, name, value) VALUES (?, ?, ?)", row)
        earlier.execute("UPDATE settings SET value = 'replaced-canary' WHERE name < 'setting-18'")
        earlier.execute("DELETE FROM settings WHERE name < 'setting-17'")
        assert b"removed-canary" in everything(url), "or there was nothing to leave"
        store = Store(settings(url, FIRST))
        assert list(store.profiles.settings("ada")) == ["setting-17", "setting-18", "setting-19"]
    store.database.close()
    assert b"canary" not in everything(url)
