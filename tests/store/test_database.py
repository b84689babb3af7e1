"""The database, of either kind: made on first use, a 503 while it cannot be used, and discreet about what is in it."""

import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from app.config import SettingError, Settings, with_driver
from app.failure import Failure
from app.store import Store
from tests.store.stores import FIRST, query, settings

STATEMENTS = (
    "INSERT INTO settings (user_id, name, value) VALUES ('nobody', 'groq_api_key', :value)",
    "INSERT INTO tokens (id, hash, user_id) VALUES ('1', :value, 'nobody')",
    "INSERT INTO nowhere VALUES (:value)",
    "SELECT * FROM profiles WHERE user_id = :value AND",
)
"""What a database refuses."""


def refused(use: Callable[[], object]) -> Failure:
    """Return the 503 that a use of the database ends in."""
    with pytest.raises(Failure) as failure:
        use()
    told = (failure.value.status, failure.value.code, failure.value.headers)
    assert told == (503, "db_unavailable", {"Retry-After": "5"})
    assert failure.value.message == "The profiles cannot be read at the moment. Please try again in a few seconds."
    return failure.value


def test_a_database_that_cannot_be_used_is_a_503_and_comes_back(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("not a folder")
    store = Store(settings(f"sqlite:///{tmp_path}/folder/sluice.db"))
    for use in (
        store.database.check,
        store.database.prepare,
        store.database.migrate,
        store.tokens.exist,
        store.tokens.all,
        store.profiles.rotate,
        store.profiles.count_locked,
        lambda: store.profiles.settings("ada"),
        lambda: store.profiles.set("ada", "groq_api_key", "one"),
        lambda: store.profiles.add("ada", {"groq_api_key": "one"}),
        lambda: store.profiles.unset("ada", "groq_api_key"),
        lambda: store.profiles.welcome("ada"),
        lambda: store.tokens.create("ada"),
        lambda: store.tokens.revoke("1234abcd"),
    ):
        refused(use)
    (tmp_path / "folder").unlink()
    assert store.profiles.settings("ada") == {}


def test_nothing_is_made_or_connected_before_it_is_used(tmp_path: Path) -> None:
    Store(settings(f"sqlite:///{tmp_path}/folder/sluice.db"))
    Store(settings("postgres://ada:secret@database.invalid/sluice", FIRST))
    assert list(tmp_path.iterdir()) == []


def test_work_that_fails_halfway_leaves_nothing(store: Store, database_url: str) -> None:
    store.profiles.set("ada", "groq_api_key", "one")

    def work(connection: Connection) -> None:
        connection.execute(text("DELETE FROM settings"))
        connection.execute(text("INSERT INTO profiles (user_id) VALUES ('bob')"))
        raise SettingError("halfway")

    with pytest.raises(SettingError):
        store.database.run(work)
    assert query(database_url, "SELECT user_id, name FROM settings") == [("ada", "groq_api_key")]
    assert query(database_url, "SELECT user_id FROM profiles") == [("ada",)]


@pytest.mark.parametrize(
    "url",
    [
        *("", "nonsense", "canary:", "sqlite://", "sqlite:///:memory:", "sqlite+canary:///x"),
        *("postgres://ada:canary@db:port/x", "postgres://ada:a-part-of@canary@db/x"),
    ],
)
def test_an_invalid_database_address_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(SettingError, match=r"^DATABASE_URL ") as error:
        Store(Settings(database_url=with_driver(url), vault_keys=(FIRST,)))
    assert "canary" not in str(error.value)


def test_no_error_shows_a_value(store: Store, database_url: str) -> None:
    store.profiles.welcome("ada")
    for statement in STATEMENTS:
        work = partial(execute, statement=statement, value="gsk_canary")
        shown = "".join(traceback.format_exception(refused(partial(store.database.run, work))))
        assert "sqlalchemy.exc." in shown
        assert "canary" not in shown


def execute(connection: Connection, statement: str, **values: str) -> None:
    connection.execute(text(statement), values)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgres://ada:canary@db.example:6432/sluice", "postgresql+psycopg://ada:***@db.example:6432/sluice"),
        ("postgres://db.example/sluice?user=ada&password=canary", "postgresql+psycopg://db.example/sluice"),
        ("sqlite:////var/lib/sluice.db", "sqlite:////var/lib/sluice.db"),
    ],
)
def test_its_name_tells_no_password(url: str, name: str) -> None:
    assert Store(settings(url, FIRST)).database.name == name


@pytest.mark.parametrize(
    ("url", "is_encrypted"),
    [
        ("sqlite:////var/lib/sluice.db", True),
        ("postgres://localhost/sluice", True),
        ("postgres:///sluice", True),
        ("postgres://db.example/sluice", False),
        ("postgres://db.example/sluice?sslmode=prefer", False),
        ("postgres://db.example/sluice?sslmode=require", True),
        ("postgres://db.example/sluice?sslmode=verify-full", True),
    ],
)
def test_whether_somebody_may_listen_on_the_way(url: str, is_encrypted: bool) -> None:  # noqa: FBT001 - of the table
    assert Store(settings(url, FIRST)).database.is_encrypted == is_encrypted
