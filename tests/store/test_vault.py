"""The vault: a value opens with its key, for its user, under its name, and nowhere else."""

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app.failure import Failure
from app.store import Store
from app.store.vault import Vault
from tests.store.stores import FIRST, SECOND, THIRD, OpenStore, query, sealed

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SENTENCE = "The stored settings cannot be decrypted. Whoever runs this service has to restore the vault's key."


def encrypted(key: str, content: bytes) -> str:
    return Fernet(key).encrypt(content).decode()


def spoiled(user: str, kept: str) -> dict[str, str]:
    """Return what may stand where a user's encrypted key stood, by how it came there."""
    return {
        "half": kept[: len(kept) // 2],
        "changed": kept[:40] + ("B" if kept[40] == "A" else "A") + kept[41:],
        "empty": "",
        "in plain text": "gsk_a-key-in-plain-text",
        "not ASCII": "schlüssel",
        "with another key": encrypted(SECOND, f'["{user}", "groq_api_key", "one"]'.encode()),
        "without a value": encrypted(FIRST, f'["{user}", "groq_api_key"]'.encode()),
        "no JSON": encrypted(FIRST, b"gsk_a-key"),
        "no text": encrypted(FIRST, f'["{user}", "groq_api_key", "'.encode() + b'\xff"]'),
    }


def is_locked(store: Store, user: str, name: str) -> bool:
    """Tell whether a setting is refused as it must be: by a 503 that tells nothing of what is there."""
    try:
        store.profiles.settings(user)[name]
    except Failure as failure:
        told = (failure.status, failure.code, failure.headers["Retry-After"], failure.message)
        assert told == (503, "vault_locked", "60", SENTENCE)
        return True
    return False


@given(TEXT, TEXT, TEXT, TEXT, TEXT)
@hypothesis_settings(derandomize=True, database=None, deadline=None, max_examples=100)
def test_what_was_sealed_opens_in_its_own_place_alone(user: str, name: str, value: str, other: str, more: str) -> None:
    vault = Vault((FIRST,), None)
    vault.prepare(may_make_key=False)
    kept = vault.seal(user, name, value)
    assert vault.open(user, name, kept) == value
    assert kept != vault.seal(user, name, value)
    for place in ((other, name), (user, more), (other, more), (name, user), (user + name, ""), (user, name + value)):
        assert vault.fits(*place, kept) == (place == (user, name))


def test_a_row_that_was_copied_to_another_place_never_opens(store: Store, database_url: str) -> None:
    store.profiles.set("ada", "groq_api_key", "hers")
    store.profiles.set("bob", "groq_api_key", "his")
    hers = sealed(database_url)["ada", "groq_api_key"]
    query(database_url, "UPDATE settings SET value = :hers WHERE user_id = 'bob'", hers=hers)
    copy = "INSERT INTO settings (user_id, name, value) VALUES ('ada', 'mistral_api_key', :hers)"
    query(database_url, copy, hers=hers)
    assert is_locked(store, "bob", "groq_api_key")
    assert is_locked(store, "ada", "mistral_api_key")
    assert store.profiles.settings("ada")["groq_api_key"] == "hers"
    assert store.profiles.count_locked() == 2


def test_an_undecryptable_value_is_a_503_until_it_is_set_again(store: Store, database_url: str) -> None:
    kinds = list(spoiled("", "x" * 100))
    for user in kinds:
        store.profiles.set(user, "groq_api_key", "one")
        store.profiles.set(user, "mistral_api_key", "another")
        value = spoiled(user, sealed(database_url)[user, "groq_api_key"])[user]
        statement = "UPDATE settings SET value = :value WHERE user_id = :user AND name = 'groq_api_key'"
        query(database_url, statement, user=user, value=value)
    assert store.profiles.count_locked() == len(kinds)
    for user in kinds:
        assert is_locked(store, user, "groq_api_key"), user
        found = store.profiles.settings(user)
        assert (found["mistral_api_key"], "groq_api_key" in found, len(found)) == ("another", True, 2)
        store.profiles.set(user, "groq_api_key", "two")
        assert store.profiles.settings(user) == {"groq_api_key": "two", "mistral_api_key": "another"}


def test_with_another_key_all_is_locked_and_nothing_lost(open_store: OpenStore) -> None:
    open_store(FIRST).profiles.set("ada", "groq_api_key", "one")
    other = open_store(SECOND)
    assert is_locked(other, "ada", "groq_api_key")
    other.profiles.set("bob", "groq_api_key", "his")
    assert other.profiles.settings("bob") == {"groq_api_key": "his"}
    assert other.profiles.unset("bob", "groq_api_key")
    assert open_store(FIRST).profiles.settings("ada") == {"groq_api_key": "one"}


def test_the_first_key_encrypts_and_every_key_decrypts(open_store: OpenStore, database_url: str) -> None:
    for number, keys in enumerate([(FIRST,), (SECOND, FIRST), (THIRD, SECOND, FIRST)]):
        open_store(*keys).profiles.set("ada", f"setting-{number}", str(number))
    for number, key in enumerate([FIRST, SECOND, THIRD]):
        kept = sealed(database_url)["ada", f"setting-{number}"]
        assert Fernet(key).decrypt(kept) == f'["ada","setting-{number}","{number}"]'.encode()
    for keys in ((THIRD, SECOND, FIRST), (FIRST, THIRD, SECOND)):
        found = open_store(*keys).profiles.settings("ada")
        assert found == {"setting-0": "0", "setting-1": "1", "setting-2": "2"}


def test_nothing_shows_a_value_but_who_asks_for_it(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    store.profiles.set("ada", "groq_api_key", "gsk_canary")
    settings = store.profiles.settings("ada")
    assert settings["groq_api_key"] == "gsk_canary"
    shown = [repr(settings), str(settings), repr(store.profiles), repr(store.database.vault), caplog.text]
    assert shown[0] == "Values(['groq_api_key'])"
    for text in shown:
        assert "canary" not in text
        assert FIRST not in text
