"""Several processes on one database: what one changes, the others see in time; what they know outlives an outage."""

from time import monotonic

import pytest

from app.failure import Failure
from app.store.cache import FRESH_SECONDS, STALE_SECONDS
from tests.machine import slack
from tests.processes import wait_for
from tests.servers import Server
from tests.store.stores import Clock, OpenStore, is_sqlite, query

USED = "SELECT count(*) FROM tokens WHERE last_used_at IS NOT NULL"


@pytest.mark.usefixtures("_quickly")
def test_a_change_is_seen_at_once_here_and_in_its_time_elsewhere(
    open_store: OpenStore, database_url: str, clock: Clock
) -> None:
    """Elsewhere means in ten seconds; with SQLite at once, because its files tell of a write."""
    here, there = open_store(), open_store()
    (name, token), (_, kept) = here.tokens.create("ada"), here.tokens.create("ada")
    here.profiles.set("ada", "groq_api_key", "one")
    assert [each.tokens.user(token) for each in (here, there)] == ["ada", "ada"]
    wait_for(lambda: query(database_url, USED) == [(1,)])
    assert there.profiles.settings("ada") == {"groq_api_key": "one"}
    here.profiles.set("ada", "groq_api_key", "two")
    here.tokens.revoke(name)
    assert (here.profiles.settings("ada"), here.tokens.user(token)) == ({"groq_api_key": "two"}, None)
    clock.now += 0 if is_sqlite(database_url) else FRESH_SECONDS
    assert (there.profiles.settings("ada"), there.tokens.user(token)) == ({"groq_api_key": "two"}, None)
    assert [each.tokens.user(kept) for each in (here, there)] == ["ada", "ada"]
    wait_for(lambda: query(database_url, USED) == [(2,)])


def test_what_nobody_changes_is_not_read_again_before_its_time(
    open_store: OpenStore, database_url: str, clock: Clock
) -> None:
    store = open_store()
    store.profiles.set("ada", "groq_api_key", "one")
    first = store.profiles.settings("ada")
    clock.now += FRESH_SECONDS - 0.1
    assert store.profiles.settings("ada") is first
    clock.now += 0.1
    assert store.profiles.settings("ada") is not first


def test_the_first_token_is_a_login_for_every_process(open_store: OpenStore, database_url: str, clock: Clock) -> None:
    here, there = open_store(), open_store()
    assert not there.tokens.exist()
    here.tokens.create("ada")
    clock.now += 0 if is_sqlite(database_url) else FRESH_SECONDS
    assert there.tokens.exist()


@pytest.mark.usefixtures("_quickly")
def test_an_outage_stops_nobody_who_is_known(
    postgres: Server, postgres_url: str, open_postgres: OpenStore, clock: Clock
) -> None:
    store, other = open_postgres(), open_postgres()
    store.profiles.set("ada", "groq_api_key", "one")
    assert store.profiles.settings("ada") == {"groq_api_key": "one"}
    tokens = dict(store.tokens.create(user) for user in ("ada", "bob", "eve"))
    hers, his, _ = tokens.values()
    assert [store.tokens.user(token) for token in (hers, his)] == ["ada", "bob"]
    other.tokens.revoke(list(tokens)[1])
    clock.now += FRESH_SECONDS
    assert store.tokens.user(his) is None
    wait_for(lambda: query(postgres_url, USED) == [(2,)])
    with postgres.stopped():
        clock.now += STALE_SECONDS - FRESH_SECONDS - 1
        started = monotonic()
        for _ in range(1000):
            assert (store.tokens.user(hers), store.profiles.settings("ada")["groq_api_key"]) == ("ada", "one")
        assert monotonic() - started < slack()
        for ask in (
            lambda: store.tokens.user(his),
            lambda: store.tokens.user(list(tokens.values())[2]),
            lambda: store.tokens.user("sluice_" + "A" * 43),
            lambda: store.profiles.settings("bob"),
            lambda: store.profiles.set("ada", "groq_api_key", "two"),
            lambda: store.tokens.create("ada"),
            lambda: store.tokens.revoke(next(iter(tokens))),
            store.profiles.rotate,
        ):
            with pytest.raises(Failure) as failure:
                ask()
            told = (failure.value.status, failure.value.code, failure.value.headers)
            assert told == (503, "db_unavailable", {"Retry-After": "5"})
        clock.now += FRESH_SECONDS + 2
        with pytest.raises(Failure):
            store.profiles.settings("ada")
    assert store.profiles.settings("bob") == {}
    assert store.tokens.user(his) is None
    assert store.profiles.settings("ada") == {"groq_api_key": "one"}


@pytest.mark.usefixtures("_quickly", "clock")
def test_what_was_revoked_before_an_outage_does_not_serve_in_it(postgres: Server, open_postgres: OpenStore) -> None:
    """Even if nobody has shown it since: it is looked at beside the requests."""
    store, other = open_postgres(), open_postgres()
    (name, revoked), (_, kept) = store.tokens.create("ada"), store.tokens.create("ada")
    assert [store.tokens.user(token) for token in (revoked, kept)] == ["ada", "ada"]
    other.tokens.revoke(name)
    wait_for(lambda: store.tokens.user(revoked) is None)
    with postgres.stopped():
        assert store.tokens.user(kept) == "ada"
        with pytest.raises(Failure):
            store.tokens.user(revoked)
