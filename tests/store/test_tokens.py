"""Tokens: whoever shows one is its user, until it is revoked; the database holds nothing that could be shown."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from time import monotonic

import psycopg
import pytest

from app.failure import Failure
from app.store import Store
from app.store import tokens as module
from app.store.migrate import SCHEMA
from app.store.tokens import RECORD_SECONDS
from tests.machine import slack
from tests.processes import wait_for
from tests.store.stores import FIRST, OpenStore, everything, is_sqlite, query, settings, sqlite_file

pytestmark = pytest.mark.usefixtures("_quickly")

USED = "SELECT last_used_at FROM tokens WHERE last_used_at IS NOT NULL"


def made_up(token: str) -> dict[str, str]:
    """Return what somebody may show who knows all about a token but the token itself, by what it is."""
    hashed = sha256(token.encode()).hexdigest()
    return {
        "nothing": "",
        "its prefix": token[:7],
        "too little of it": token[:-1],
        "too much of it": f"{token}A",
        "one character of it changed": token[:20] + ("B" if token[20] == "A" else "A") + token[21:],
        "its last character changed": token[:-1] + ("B" if token[-1] == "A" else "A"),
        "capitals": token.upper(),
        "a space before it": f" {token}",
        "a line's end behind it": f"{token}\n",
        "NUL in it": token[:20] + "\0" + token[21:],
        "letters of another script": token[:7] + "\u0430" * 43,
        "digits of another script": token[:7] + "\u0663" * 43,
        "half characters": token[:7] + "\ud800" * 43,
        "its hash": hashed,
        "its hash, as long as it": token[:7] + hashed[:43],
        "a wildcard": token[:7] + "_" * 43,
        "another wildcard": token[:7] + "%" * 43,
        "SQL": token[:7] + "' OR '1'='1' --".ljust(43),
        "very much": token[:7] + "A" * 1_000_000,
    }


def test_a_token_is_its_user_and_only_its_hash_is_kept(store: Store, database_url: str) -> None:
    name, token = store.tokens.create("ada")
    _, other = store.tokens.create("bob")
    assert re.fullmatch(r"sluice_[A-Za-z0-9_-]{43}", token), "256 bits"
    assert re.fullmatch(r"[0-9a-f]{8}", name)
    assert token != other
    assert [store.tokens.user(token), store.tokens.user(other)] == ["ada", "bob"]
    kept = query(database_url, "SELECT hash FROM tokens WHERE id = :name", name=name)
    assert kept == [(sha256(token.encode()).hexdigest(),)]
    assert token[7:].encode() not in everything(database_url)
    wait_for(lambda: len(query(database_url, USED)) == 2)


def test_an_almost_valid_token_names_nobody(store: Store, open_store: OpenStore) -> None:
    name, token = store.tokens.create("ada")
    other = open_store()
    for kind, shown in made_up(token).items():
        assert [each.tokens.user(shown) for each in (store, other)] == [None, None], kind
    assert store.tokens.user(name) is None
    assert [(found.id, found.last_used_at) for found in store.tokens.all()] == [(name, None)]


def test_whoever_has_a_token_is_told_exactly(store: Store, database_url: str) -> None:
    users = ["ä'; DROP TABLE tokens; --", '"\\%_', "𝒂" * 200, "auth0|5f7c8ec7c33c6c004bbafe82", "ada", "Ada", "ada "]
    for user in users:
        _, token = store.tokens.create(user)
        assert store.tokens.user(token) == user
        assert store.profiles.settings(user) == {}
    assert sorted(found.user for found in store.tokens.all()) == sorted(users)
    wait_for(lambda: len(query(database_url, USED)) == len(users))


def test_a_revoked_token_names_nobody_at_once(store: Store, open_store: OpenStore, database_url: str) -> None:
    name, token = store.tokens.create("ada")
    _, kept = store.tokens.create("ada")
    assert store.tokens.user(token) == "ada"
    for other in ("", "%", "' OR '1'='1", name.upper() + "0", f"{name}\0"[:8] + "0"):
        assert not store.tokens.revoke(other)
    assert store.tokens.revoke(name)
    assert not store.tokens.revoke(name)
    assert [each.tokens.user(token) for each in (store, open_store())] == [None, None]
    assert store.tokens.user(kept) == "ada"
    wait_for(lambda: len(query(database_url, USED)) == 2)


def test_all_tokens_are_listed_in_the_order_they_were_made(store: Store, database_url: str) -> None:
    names = [store.tokens.create(user)[0] for user in ("ada", "bob", "ada")]
    for number, name in enumerate(names):
        moment = f"2026-01-0{number + 1} 12:00:00+00"
        query(database_url, "UPDATE tokens SET created_at = :moment WHERE id = :name", moment=moment, name=name)
    store.tokens.revoke(names[1])
    found = store.tokens.all()
    assert [(token.id, token.user) for token in found] == list(zip(names, ("ada", "bob", "ada"), strict=True))
    assert [token.created_at.day for token in found] == [1, 2, 3]
    assert [token.revoked_at is not None for token in found] == [False, True, False]
    now = datetime.now(UTC)
    assert found[1].revoked_at is not None
    assert abs(found[1].revoked_at - now) < timedelta(minutes=1)


def test_times_are_told_in_utc_wherever_the_database_is(postgres_url: str, open_postgres: OpenStore) -> None:
    query(postgres_url, f"ALTER DATABASE {postgres_url.rpartition('/')[2]} SET timezone = 'Asia/Tokyo'")
    store = open_postgres()
    name, _ = store.tokens.create("ada")
    store.tokens.revoke(name)
    (token,) = store.tokens.all()
    assert token.revoked_at
    for moment in (token.created_at, token.revoked_at):
        assert moment.utcoffset() == timedelta(0)
        assert abs(moment - datetime.now(UTC)) < timedelta(minutes=1)


def test_whether_there_ever_was_a_token(store: Store, open_store: OpenStore) -> None:
    assert not store.tokens.exist()
    name, _ = store.tokens.create("ada")
    assert store.tokens.exist()
    assert store.tokens.revoke(name)
    assert [each.tokens.exist() for each in (store, open_store())] == [True, True]


def test_the_first_use_is_written_at_once_and_later_ones_rarely(
    store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert RECORD_SECONDS == 60
    monkeypatch.setattr(module, "RECORD_SECONDS", 0.5)
    (_, token), (_, other) = store.tokens.create("ada"), store.tokens.create("bob")
    early = "2001-01-01 00:00:00+00"
    started = monotonic()
    assert store.tokens.user(token) == "ada"
    wait_for(lambda: len(query(database_url, USED)) == 1)
    query(database_url, "UPDATE tokens SET last_used_at = :early WHERE user_id = 'ada'", early=early)

    def used_again() -> bool:
        assert [store.tokens.user(token), store.tokens.user(other)] == ["ada", "bob"]
        return "2001" not in str(query(database_url, USED))

    wait_for(used_again)
    assert monotonic() - started > 0.5
    assert len(query(database_url, USED)) == 2


def test_a_database_that_takes_no_write_delays_no_token(store: Store, database_url: str) -> None:
    _, token = store.tokens.create("ada")
    with locked(database_url):
        started = monotonic()
        assert [store.tokens.user(token) for _ in range(100)] == ["ada"] * 100
        assert monotonic() - started < 0.9 * slack()
        assert not query(database_url, USED)
    wait_for(lambda: query(database_url, USED))


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Let nobody write to the tokens for a while."""
    if is_sqlite(url):
        with closing(sqlite3.connect(sqlite_file(url))) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
    else:
        with psycopg.connect(url) as connection:
            connection.execute(f"LOCK TABLE {SCHEMA}.tokens IN EXCLUSIVE MODE".encode())
            yield


def test_only_what_looks_like_a_token_asks_the_database(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    tokens = Store(settings(f"sqlite:///{tmp_path}/file/sluice.db", FIRST)).tokens
    assert tokens.user("sluice_") is None
    with pytest.raises(Failure) as failure:
        tokens.user("sluice_" + "A" * 43)
    assert (failure.value.status, failure.value.code) == (503, "db_unavailable")
