"""Keys and their endpoints: a key is sent to none but the one it was set for, whoever writes at the same time."""

import threading
from functools import partial

import pytest

from app.store import Store
from tests.processes import wait_for
from tests.store import race
from tests.store.stores import ENDPOINT, FIRST, KEY, SECOND, OpenStore, engine, names, query

ORGANIZATION = "openai_organization_id"
NOTHING: frozenset[str] = frozenset()
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def profile(store: Store) -> dict[str, str]:
    return dict(store.profiles.settings("ada"))


def test_a_key_goes_with_every_change_of_its_endpoint(store: Store) -> None:
    """The first endpoint is one, and its end."""
    for value in ("https://one", "https://two", "https://TWO", "https://two/"):
        store.profiles.set("ada", KEY, "key")
        assert store.profiles.set("ada", ENDPOINT, value) == {KEY}
        assert profile(store) == {ENDPOINT: value}
    store.profiles.set("ada", KEY, "key")
    assert store.profiles.unset("ada", ENDPOINT) == {ENDPOINT, KEY}
    assert profile(store) == {}


def test_a_key_stays_with_its_endpoint(store: Store) -> None:
    assert store.profiles.unset("ada", ENDPOINT) == NOTHING
    assert store.profiles.set("ada", ENDPOINT, "https://one") == NOTHING
    assert store.profiles.set("ada", KEY, "key") == NOTHING
    assert store.profiles.set("ada", ENDPOINT, "https://one") == NOTHING
    assert store.profiles.set("ada", ORGANIZATION, "any") == NOTHING
    assert store.profiles.unset("ada", ORGANIZATION) == {ORGANIZATION}
    assert profile(store) == {ENDPOINT: "https://one", KEY: "key"}
    assert store.profiles.unset("ada", KEY) == {KEY}
    assert store.profiles.unset("ada", ENDPOINT) == {ENDPOINT}


def test_a_key_stays_where_no_endpoint_was_to_be_removed(store: Store) -> None:
    store.profiles.set("ada", KEY, "key")
    assert store.profiles.unset("ada", ENDPOINT) == NOTHING
    assert profile(store) == {KEY: "key"}


def test_an_endpoint_that_cannot_be_decrypted_is_another(open_store: OpenStore) -> None:
    open_store(FIRST).profiles.set("ada", ENDPOINT, "https://one")
    store = open_store(SECOND)
    store.profiles.set("ada", KEY, "key")
    assert store.profiles.set("ada", ENDPOINT, "https://one") == {KEY}


def test_what_is_there_counts_and_not_what_was_read_before(open_store: OpenStore) -> None:
    """Another process may have set the key since."""
    here, there = open_store(), open_store()
    assert profile(there) == {}
    here.profiles.set("ada", KEY, "key")
    assert there.profiles.set("ada", ENDPOINT, "https://one") == {KEY}
    assert (profile(there), names(here, "ada")) == ({ENDPOINT: "https://one"}, {ENDPOINT})


@pytest.mark.parametrize(
    ("here", "added", "then"),
    [
        ({}, {ENDPOINT: "theirs", KEY: "theirs"}, {ENDPOINT: "theirs", KEY: "theirs"}),
        ({}, {KEY: "theirs"}, {KEY: "theirs"}),
        ({KEY: "ours"}, {ENDPOINT: "theirs"}, {KEY: "ours"}),
        ({KEY: "ours"}, {ENDPOINT: "theirs", KEY: "theirs"}, {KEY: "ours"}),
        ({ENDPOINT: "ours"}, {KEY: "theirs"}, {ENDPOINT: "ours"}),
        ({ENDPOINT: "ours"}, {ENDPOINT: "theirs", KEY: "theirs"}, {ENDPOINT: "ours"}),
        ({ENDPOINT: "the same"}, {ENDPOINT: "the same", KEY: "theirs"}, {ENDPOINT: "the same", KEY: "theirs"}),
    ],
    ids=lambda settings: (
        " ".join(f"{name.rpartition('_')[2]}-{value}" for name, value in settings.items()) or "nothing"
    ),
)
def test_what_is_added_together_stays_together(
    store: Store, here: dict[str, str], added: dict[str, str], then: dict[str, str]
) -> None:
    for name, value in here.items():
        store.profiles.set("ada", name, value)
    assert store.profiles.add("ada", {**added, ORGANIZATION: "any"}) == len(then) - len(here) + 1
    assert profile(store) == then | {ORGANIZATION: "any"}


def test_a_key_waits_for_an_endpoint_that_is_being_written(postgres_url: str, open_postgres: OpenStore) -> None:
    """Or it would be there, and known to be, before the endpoint that it is sent to is seen by anybody."""
    one, other = open_postgres(), open_postgres()
    one.profiles.set("ada", ENDPOINT, "https://one")
    threads = [
        threading.Thread(target=partial(store.profiles.set, "ada", *setting))
        for store, setting in ((one, (ENDPOINT, "https://two")), (other, (KEY, "key")))
    ]
    with engine(postgres_url).begin() as connection:
        connection.exec_driver_sql("SELECT name FROM settings FOR UPDATE")
        for number, thread in enumerate(threads, 1):
            thread.start()
            wait_for(lambda number=number: query(postgres_url, WAITING) == [(number,)])  # type: ignore[misc]
    for thread in threads:
        thread.join()
    assert profile(open_postgres()) == {ENDPOINT: "https://two", KEY: "key"}


def test_of_two_processes_that_write_at_once_none_overtakes(database_url: str) -> None:
    assert race.run(database_url, FIRST) == (0, "")
