"""Where the vault's keys are: in VAULT_KEYS, or in a file beside an SQLite database."""

import os
import runpy
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from app import create_app
from app.config import SettingError
from app.failure import Failure
from app.store import Store
from tests.processes import ROOT, environment_without
from tests.store.stores import FIRST, SECOND, sealed, settings

POSTGRES = "postgres://user:secret-password@localhost/sluice"
BAD_KEYS = ["not-a-key-canary", f"{FIRST}, canary", f"{FIRST} canary", FIRST[:-8] + "canary==", "schlüssel-canary"]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "sluice.db"


def sqlite(database: Path, *keys: str) -> Store:
    return Store(settings(f"sqlite:///{database}", *keys))


def test_the_key_file_is_private_and_outlives_the_process(database: Path) -> None:
    sqlite(database).profiles.set("ada", "groq_api_key", "one")
    file = Path(f"{database}.key")
    key = file.read_bytes()
    assert (
        Fernet(key).decrypt(sealed(f"sqlite:///{database}")["ada", "groq_api_key"]) == b'["ada","groq_api_key","one"]'
    )
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sqlite(database).profiles.settings("ada") == {"groq_api_key": "one"}
    assert file.read_bytes() == key
    assert [path.name for path in database.parent.glob("*.key*")] == [file.name]


def test_keys_that_are_given_need_no_file(database: Path) -> None:
    sqlite(database, FIRST).profiles.set("ada", "groq_api_key", "one")
    assert not Path(f"{database}.key").exists()


def test_later_keys_open_what_the_key_file_encrypted(database: Path) -> None:
    sqlite(database).profiles.set("ada", "groq_api_key", "one")
    later = sqlite(database, FIRST)
    assert later.profiles.settings("ada") == {"groq_api_key": "one"}
    later.profiles.set("bob", "groq_api_key", "two")
    assert Fernet(FIRST).decrypt(sealed(f"sqlite:///{database}")["bob", "groq_api_key"])
    assert later.profiles.rotate() == (1, 1, 0)
    Path(f"{database}.key").unlink()
    assert sqlite(database, FIRST).profiles.settings("ada") == {"groq_api_key": "one"}


def test_a_database_is_locked_until_its_key_file_is_back(database: Path) -> None:
    sqlite(database).profiles.set("ada", "groq_api_key", "one")
    file, saved = Path(f"{database}.key"), database.parent / "saved"
    file.rename(saved)
    store = sqlite(database)
    for use in (
        lambda: store.profiles.settings("ada")["groq_api_key"],
        lambda: store.profiles.set("ada", "groq_api_key", "two"),
    ):
        with pytest.raises(Failure, match="cannot be decrypted"):
            use()
        assert not file.exists(), "another key would only hide that this one is missing"
    file.mkdir()
    with pytest.raises(Failure, match="cannot be decrypted"):
        store.profiles.set("ada", "groq_api_key", "two")
    file.rmdir()
    saved.replace(file)
    assert store.profiles.settings("ada") == {"groq_api_key": "one"}


@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff" * 44, FIRST.encode()[:40], b"\0", None])
def test_an_invalid_key_file_is_a_503_and_can_be_mended(database: Path, content: bytes | None) -> None:
    file = Path(f"{database}.key")
    file.parent.mkdir()
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    app = create_app(settings(f"sqlite:///{database}"))
    client = app.test_client()
    assert client.get("/healthz").status_code == 200
    chat = {"chatSettings": {"model": "m"}, "messages": [{"role": "user", "content": "?"}]}
    for reply in (
        client.get("/readyz"),
        client.get("/api/profile"),
        client.put("/api/profile/settings/groq_api_key", json={"value": "gsk_canary"}),
        client.post("/api/chat/groq", json=chat),
    ):
        assert reply.status_code == 503
        assert reply.get_json()["code"] == ("db_unavailable" if content is None else "vault_locked")
        assert reply.headers["Retry-After"]
    if content is None:
        file.rmdir()
    else:
        assert file.read_bytes() == content, "it may be a key that somebody can mend"
        file.write_text(f"{FIRST}\n")
    assert client.put("/api/profile/settings/groq_api_key", json={"value": "gsk_canary"}).status_code == 200
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("keys", BAD_KEYS)
def test_what_is_no_key_is_refused_without_being_shown(database: Path, keys: str) -> None:
    with pytest.raises(SettingError, match=r"^VAULT_KEYS must be Fernet keys: 32 bytes in URL-safe base64") as error:
        sqlite(database, keys)
    assert "canary" not in str(error.value)
    assert not database.parent.exists()


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"DATABASE_URL": POSTGRES}, "VAULT_KEYS must be set, because the keys in a shared database are encrypted."),
        ({"VAULT_KEYS": f"{SECOND},{BAD_KEYS[0]}"}, "VAULT_KEYS must be Fernet keys: 32 bytes in URL-safe base64"),
        ({"DATABASE_URL": "postgres://user:secret-password@db:port/x"}, "DATABASE_URL is not the URL of a database."),
        ({"DATABASE_URL": "secret-password"}, "DATABASE_URL is not the URL of a database."),
        (
            {"DATABASE_URL": "mysql://user:secret-password@db/x"},
            "DATABASE_URL must begin with sqlite:// or postgres://",
        ),
    ],
)
def test_the_start_stops_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variables: Mapping[str, str], sentence: str
) -> None:
    monkeypatch.setattr(os, "environ", environment_without(variables))
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "wsgi.py"))
    assert ended.value.code == 4, "which gunicorn takes for a reason not to try again"
    said = capsys.readouterr().err
    assert said.startswith(f"Sluice cannot start: {sentence}")
    assert said.count("\n") == 1
    for secret in ("canary", "secret-password", SECOND):
        assert secret not in said
