"""Stores that fail, and what is kept in them by others: the service says so, and says nothing else."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from cryptography.fernet import Fernet
from sqlalchemy import make_url

from tests.canaries.house import GUEST, OWNER, House, again
from tests.canaries.marks import canary, found, known
from tests.canaries.mirror import ANSWER
from tests.login.identity import hs256, token
from tests.processes import Processes, wait_for
from tests.servers import Server
from tests.store.stores import query

NAME = "openai_api_key"
WHOLE = "the key beside the text"


@contextmanager
def rows(house: House) -> Iterator[Mapping[str, str]]:
    """Yield what the database has of the owner's settings; put it back at the end."""
    url = house.settings["DATABASE_URL"]
    kept: dict[str, str] = dict(query(url, "SELECT name, value FROM settings WHERE user_id = 'owner'"))
    try:
        yield kept
    finally:
        query(url, "DELETE FROM settings WHERE user_id <> 'owner'")
        for name, value in kept.items():
            query(url, "UPDATE settings SET value = :value WHERE name = :name", name=name, value=value)
        assert house.put(NAME, house.canaries[NAME].value).status == 200  # which all that is remembered is dropped for


def change(house: House, value: str) -> None:
    """Change what the database has of the owner's key."""
    url = house.settings["DATABASE_URL"]
    query(url, "UPDATE settings SET value = :value WHERE user_id = 'owner' AND name = :name", name=NAME, value=value)
    renew(house, OWNER)


def renew(house: House, user: str) -> None:
    """Have the service read a user's settings again, whatever it remembers."""
    house.put("azure_openai_api_version", "v1", user)


def test_a_value_that_cannot_be_decrypted_is_not_shown(house: House) -> None:
    planted = canary("what lies in the database", "sk-")
    with rows(house):
        for garbage in ("garbage", "", "gAAAAA", planted.value):
            change(house, garbage)
            for seen in (house.chat("openai", WHOLE), house.ask("POST", f"/api/profile/settings/{NAME}/check")):
                assert (seen.status, seen.json()["code"]) == (503, "vault_locked")
            assert house.ask("GET", "/api/profile").status in (200, 503)
        assert b"1 settings cannot be decrypted" in house.run("doctor").stdout
        assert found(house.said(), [planted]) == []
    assert house.chat("openai", WHOLE).text() == ANSWER


def test_a_value_that_was_copied_to_another_user_is_not_used(house: House) -> None:
    copy = "INSERT INTO settings (user_id, name, value) VALUES ('guest', :name, :value)"
    with rows(house) as kept:
        renew(house, GUEST)
        query(house.settings["DATABASE_URL"], copy, name=NAME, value=kept[NAME])
        renew(house, GUEST)
        seen = house.chat("openai", WHOLE, user=GUEST)
        assert (seen.status, seen.json()["code"]) == (503, "vault_locked")


def test_a_locked_database_is_told_without_what_was_to_be_written(small: House) -> None:
    with closing(sqlite3.connect(small.service.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        seen = small.put("groq_api_key", small.add("while it was locked", "gsk_"))
        assert (seen.status, seen.json()["code"]) == (503, "db_unavailable")
        assert small.chat("openai", WHOLE).text() == ANSWER


def test_a_database_without_a_table_is_told_without_what_was_looked_for(small: House) -> None:
    stranger = f"Authorization: Bearer sluice_{small.add('unknown token')}{'x' * 11}"
    with closing(sqlite3.connect(small.service.database, isolation_level=None)) as other:
        for table in ("settings", "tokens", "profiles"):
            other.execute(f"ALTER TABLE {table} RENAME TO elsewhere")
            small.put("groq_api_key", small.add(f"without {table}", "gsk_"))
            assert small.ask("GET", "/api/profile", b"", "", stranger).status in (401, 503)
            other.execute(f"ALTER TABLE elsewhere RENAME TO {table}")
    assert small.put("groq_api_key", small.canaries["groq_api_key"].value).status == 200


def test_without_postgres_nothing_of_what_was_asked_is_told(large: House, postgres: Server) -> None:
    assert large.chat("openai", WHOLE).text() == ANSWER
    stranger = token(hs256(large.canaries["AUTH_JWT_SECRET"].value), sub="stranger")
    large.logins["stranger"] = stranger
    large.canaries["token of stranger"] = known("a stranger's token", stranger.rpartition(".")[2])
    with postgres.stopped():
        assert large.chat("openai", WHOLE).text() == ANSWER
        assert large.chat("openai", WHOLE, user="stranger").json()["code"] == "db_unavailable"
        assert large.put("groq_api_key", large.add("without Postgres", "gsk_")).json()["code"] == "db_unavailable"
        assert large.ask("GET", "/readyz").status == 503
        assert large.run("doctor").returncode
        assert large.run("token", "create", "--user", "x").returncode
    wait_for(lambda: large.ask("GET", "/readyz").status == 200)


def test_without_redis_its_password_is_not_told(large: House, redis_server: Server) -> None:
    assert large.chat("openai", WHOLE).text() == ANSWER
    with redis_server.stopped():
        for _ in range(2):
            assert large.chat("openai", WHOLE).text() == ANSWER
        assert large.ask("GET", "/readyz").json()["limits"]["counted"] == "in this process"
    wait_for(lambda: "Redis cannot be used" in large.service.log.read_text())


def test_with_the_wrong_vault_key_nothing_is_told(house: House, processes: Processes, tmp_path: Path) -> None:
    """Somebody has the database, and not the key."""
    wrong = Fernet.generate_key().decode()
    changes = {"VAULT_KEYS": wrong}
    if make_url(house.settings["DATABASE_URL"]).get_backend_name() == "sqlite":
        with closing(sqlite3.connect(house.service.database)) as source:
            source.execute("VACUUM INTO ?", [str(tmp_path / "copy.db")])
        changes["DATABASE_URL"] = f"sqlite:///{tmp_path}/copy.db"
    with again(house, processes, **changes) as other:
        other.canaries["wrong key"] = known("another vault's key", wrong)
        assert other.chat("openai", WHOLE).json()["code"] == "vault_locked"
        assert other.ask("GET", "/api/profile").status in (200, 503)
        assert b"cannot be decrypted" in other.run("vault", "rotate").stderr
        assert other.leaks() == []
