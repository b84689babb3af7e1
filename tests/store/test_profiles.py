"""Profiles: each user's settings are that user's alone, whoever writes at the same time."""

import re
from functools import partial

from app.store import Store
from tests.store.stores import OpenStore, at_once, query, sealed

NAMES = ["groq_api_key", "mistral_api_key", "openai_api_key", "openai_organization_id"]
USERS = [
    "ada",
    "Ada",
    "ada ",
    "%",
    "_d_",
    "a'; DROP TABLE settings; --",
    'a"b\\',
    "ü" * 200,
    "𝒂",
    "null",
    "0",
    "ada\\0",
]
"""Users who must not be taken for one another."""


def test_a_profile_keeps_its_settings_to_itself(store: Store) -> None:
    store.profiles.set("ada", "groq_api_key", "one")
    store.profiles.set("ada", "groq_api_key", "two")
    store.profiles.set("bob", "groq_api_key", "three")
    found = [store.profiles.settings(user) for user in ("ada", "bob", "eve")]
    assert found == [{"groq_api_key": "two"}, {"groq_api_key": "three"}, {}]
    assert store.profiles.unset("ada", "groq_api_key")
    assert not store.profiles.unset("ada", "groq_api_key")
    assert [store.profiles.settings(user) for user in ("ada", "bob")] == [{}, {"groq_api_key": "three"}]


def test_whatever_a_user_is_called_nobody_else_is_meant(store: Store, open_store: OpenStore) -> None:
    for user in USERS:
        store.profiles.set(user, "groq_api_key", f"key of {user}\0")
    assert store.profiles.unset("%", "groq_api_key")
    other = open_store().profiles
    for user in USERS:
        assert other.settings(user) == ({} if user == "%" else {"groq_api_key": f"key of {user}\0"})
    for user in ("ADA", "", "ad", "a'; DROP TABLE profiles; --", "' OR '1'='1"):
        assert other.settings(user) == {}
        assert not other.unset(user, "groq_api_key")
        assert not other.unset("ada", f"{user}groq_api_ke_")


def test_who_is_welcome_has_an_empty_profile_once(open_store: OpenStore, database_url: str) -> None:
    stores = [open_store() for _ in range(4)]
    stores[0].database.prepare()
    at_once(*(partial(store.profiles.welcome, "ada") for store in stores))
    assert query(database_url, "SELECT user_id FROM profiles") == [("ada",)]
    assert stores[0].profiles.settings("ada") == {}
    stores[1].profiles.set("ada", "groq_api_key", "one")
    stores[1].profiles.welcome("ada")
    assert open_store().profiles.settings("ada") == {"groq_api_key": "one"}


def test_what_is_added_replaces_nothing(store: Store, database_url: str) -> None:
    store.profiles.set("ada", "groq_api_key", "hers")
    before = sealed(database_url)
    assert store.profiles.add("ada", {"groq_api_key": "theirs", "mistral_api_key": "new"}) == 1
    assert store.profiles.settings("ada") == {"groq_api_key": "hers", "mistral_api_key": "new"}
    assert store.profiles.add("ada", {"groq_api_key": "theirs", "mistral_api_key": "newer"}) == 0
    assert before.items() <= sealed(database_url).items()
    assert store.profiles.add("bob", {}) == 0
    assert query(database_url, "SELECT user_id FROM profiles ORDER BY user_id") == [("ada",), ("bob",)]


def test_the_time_of_a_change_is_kept(store: Store, database_url: str) -> None:
    store.profiles.set("ada", "groq_api_key", "one")
    query(database_url, "UPDATE settings SET updated_at = '2001-01-01 00:00:00+00'")
    store.profiles.set("ada", "groq_api_key", "two")
    assert re.match(r"20[2-9]\d-", str(query(database_url, "SELECT updated_at FROM settings")[0][0]))


def test_threads_that_make_one_profile_at_once_all_succeed(store: Store) -> None:
    store.database.prepare()
    users = [f"user-{number}" for number in range(10)]
    for user in users:
        at_once(*(partial(store.profiles.set, user, name, name) for name in NAMES))
    assert [store.profiles.settings(user) for user in users] == [{name: name for name in NAMES}] * len(users)


def test_many_threads_may_ask_at_once(store: Store) -> None:
    for number in range(30):
        store.profiles.set(f"user-{number}", "groq_api_key", str(number))

    def read(number: int) -> None:
        assert store.profiles.settings(f"user-{number}") == {"groq_api_key": str(number)}

    at_once(*(partial(read, number) for number in range(30)))
