"""The profiles of an existing chatbot-ui, read from its database as it is."""

import gc
from pathlib import Path
from uuid import UUID

import pytest

from app.store import Store, chatbot_ui
from app.store.chatbot_ui import BATCH, SourceError
from tests.store.stores import FIRST, query, settings
from tests.store.supabase import ADA, BOB, EVE, make_profiles

NAMES = {"groq_api_key", "openai_api_key", "azure_openai_endpoint", "a_setting_of_tomorrow"}
BAD_ADDRESSES = [
    "",
    "nonsense",
    "canary",
    "postgres://ada:canary@db:port/x",
    "postgres://ada:a-part-of@canary@db/x",
    "sqlite+canary:///x",
    "mysql://ada:canary@db/x",
]


def test_each_profile_is_read_with_the_wanted_settings(database_url: str) -> None:
    hers = {"groq_api_key": "one", "openai_api_key": "", "mistral_api_key": "not asked for"}
    his = {"azure_openai_endpoint": "https://bob.example", "anthropic_api_key": "not known"}
    make_profiles(database_url, {EVE: {}, ADA: hers, BOB: his})
    found = list(chatbot_ui.read(database_url, NAMES))
    gc.collect()  # no connection is left open
    assert found == [(ADA, {"groq_api_key": "one"}), (BOB, {"azure_openai_endpoint": "https://bob.example"}), (EVE, {})]


def test_the_table_of_an_earlier_chatbot_ui_is_read_too(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/supabase.db"
    make_profiles(url, {ADA: {"openai_api_key": "one"}}, without="groq_api_key")
    assert list(chatbot_ui.read(url, NAMES)) == [(ADA, {"openai_api_key": "one"})]


def test_more_profiles_than_are_read_at_once(database_url: str) -> None:
    profiles = {str(UUID(int=number)): {"groq_api_key": f"key-{number}"} for number in range(BATCH + 100)}
    make_profiles(database_url, profiles)
    assert dict(chatbot_ui.read(database_url, NAMES)) == profiles
    gc.collect()


def sentence(url: str) -> str:
    """Return why a database cannot be read, as the operator is told."""
    with pytest.raises(SourceError) as error:
        list(chatbot_ui.read(url, NAMES))
    gc.collect()
    assert "canary" not in str(error.value)
    return str(error.value)


def test_another_database_is_a_sentence(database_url: str) -> None:
    assert sentence(database_url) == "This database has no table `profiles`."
    query(database_url, "CREATE TABLE profiles (id INTEGER, groq_api_key TEXT)")
    assert sentence(database_url) == "The table `profiles` of this database is not chatbot-ui's."


def test_our_own_database_is_none_of_chatbot_ui(database_url: str, store: Store) -> None:
    store.profiles.set("ada", "groq_api_key", "one")
    assert sentence(database_url) in {
        "The table `profiles` of this database is not chatbot-ui's.",
        "This database has no table `profiles`.",
    }


def test_both_may_live_in_one_database(postgres_url: str) -> None:
    make_profiles(postgres_url, {ADA: {"groq_api_key": "theirs"}})
    store = Store(settings(postgres_url, FIRST))
    store.profiles.set(ADA, "groq_api_key", "ours")
    assert list(chatbot_ui.read(postgres_url, NAMES)) == [(ADA, {"groq_api_key": "theirs"})]
    assert store.profiles.settings(ADA) == {"groq_api_key": "ours"}
    store.database.close()
    gc.collect()


@pytest.mark.parametrize("url", BAD_ADDRESSES)
def test_an_invalid_address_of_a_database_is_a_sentence(url: str) -> None:
    assert sentence(url) == "This is not the address of a database."


def test_a_database_that_lets_us_not_in_is_a_sentence(postgres_url: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no database, and a canary in it" * 100)
    for url in (
        postgres_url.replace("canary", "canary-2"),
        f"{postgres_url}0",
        postgres_url.replace("127.0.0.1", "database.invalid"),
        f"sqlite:///{tmp_path}/file",
        f"sqlite:///{tmp_path}/file/supabase.db",
    ):
        assert sentence(url).startswith("The database cannot be read (")
