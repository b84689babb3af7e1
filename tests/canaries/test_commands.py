"""What the commands say, of what they are given and of what they find."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from app.providers import PROVIDERS
from tests.canaries.house import House
from tests.canaries.mirror import ANSWER

SETTINGS = [setting.name for provider in PROVIDERS.values() for setting in provider.own_fields]


def test_no_command_says_what_it_keeps(house: House) -> None:
    with ThreadPoolExecutor(2) as terminals:
        done = list(terminals.map(lambda line: house.run(*line.split()), ("doctor", "profile show --user owner")))
    assert b"Database: " in done[0].stdout
    assert b"groq_api_key" in done[1].stdout


def test_no_command_repeats_what_it_was_told(small: House) -> None:
    key = small.add("set by a command", "gsk_")
    said = {"groq_api_key": key, "mistral_api_key": f"{key}\n{key}", "azure_openai_endpoint": f"https://{key}@a.test"}
    with ThreadPoolExecutor(2) as terminals:
        lines = [("profile", "set", name, "--user", "third") for name in said]
        done = list(terminals.map(lambda line: small.run(*line, said=said[line[2]]), lines))
    assert [one.returncode for one in done] == [0, 1, 1]


def test_the_vault_s_keys_are_not_said_when_they_change(large: House) -> None:
    first, second = large.settings["VAULT_KEYS"].split(",")
    assert b"encrypted anew" in large.run("vault", "rotate", VAULT_KEYS=f"{second},{first}").stdout
    assert large.chat("openai", "the key beside the text").text() == ANSWER
    wrong = large.run("vault", "rotate", VAULT_KEYS=f"{second[:-2]},{first}")
    assert b"VAULT_KEYS must be Fernet keys" in wrong.stderr


def chatbot_ui(house: House, path: Path) -> str:
    """Make the database of a chatbot-ui, with a user whose settings are secrets, good and bad; return its address."""
    values = {name: house.add(f"import's {name}") for name in SETTINGS} | {"azure_openai_endpoint": "https://a.test"}
    values["mistral_api_key"] += "\n"
    values["openai_api_key"] += " and more"
    with closing(sqlite3.connect(path)) as source, source:
        source.execute(f"CREATE TABLE profiles (user_id, {', '.join(values)})")
        marks = ", ".join("?" * (len(values) + 1))
        source.execute(f"INSERT INTO profiles VALUES ({marks})", ["imported", *values.values()])  # noqa: S608 - marks
    return f"sqlite:///{path}"


def test_an_import_says_how_much_and_not_what(house: House, tmp_path: Path) -> None:
    done = house.run("profile", "import-chatbot-ui", chatbot_ui(house, tmp_path / "chatbot-ui.db"))
    assert b"1 profiles were read" in done.stdout
    assert b"were left out" in done.stdout


def test_an_import_that_fails_does_not_say_the_password(small: House) -> None:
    """Whether there is nobody at the address, or only half of an address."""
    password = small.add("the other database's password")
    addresses = [f"postgres://me:{password}@127.0.0.1:1/postgres", f"postgres://me:{password}"]
    with ThreadPoolExecutor(2) as terminals:
        done = list(terminals.map(lambda address: small.run("profile", "import-chatbot-ui", address), addresses))
    assert all(one.returncode for one in done)
    assert b"Traceback" not in b"".join(one.stderr for one in done)
