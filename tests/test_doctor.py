"""What the doctor says, and what the log does at the start: who is let in, and what is unsafe."""

import sqlite3
import sysconfig
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result
from cryptography.fernet import Fernet

from app import create_app, read_settings
from app.config import Settings
from tests.login import identity
from tests.login.users import command, with_login
from tests.processes import Processes, Simulator, free_port, wait_for

pytestmark = pytest.mark.usefixtures("_no_authorities")

JWT = {
    "AUTH_JWT_SECRET": identity.SECRET,
    "AUTH_JWT_AUDIENCE": identity.AUDIENCE,
    "AUTH_JWT_ISSUER": identity.ISSUER,
}
REACHABLE = "Reachable without login"

Doctor = Callable[..., Result]


@pytest.fixture
def doctor(tmp_path: Path) -> Doctor:
    """Return what asks the doctor about a service with such an environment."""

    def ask(**environment: str) -> Result:
        settings = read_settings({"DATABASE_URL": f"sqlite:///{tmp_path}/sluice.db", **environment})
        return create_app(settings).test_cli_runner().invoke(args=["doctor"])

    return ask


def findings(result: Result) -> list[str]:
    """Return the lines, the marks among them; each is a sentence."""
    lines = result.output.splitlines()
    assert all(line[8:9].isupper() and line.endswith(".") for line in lines), lines
    return lines


def unsafe(result: Result) -> list[str]:
    """Return what is unsafe; the command's status says whether anything is."""
    found = [line.removeprefix("UNSAFE  ") for line in findings(result) if line.startswith("UNSAFE")]
    assert result.exit_code == bool(found)
    return found


def exposed(result: Result) -> list[str]:
    return [line.removeprefix("EXPOSED ") for line in findings(result) if line.startswith("EXPOSED")]


def test_without_a_login_the_local_user_is_exposed_not_unsafe(doctor: Doctor, tmp_path: Path) -> None:
    result = doctor()
    assert unsafe(result) == []
    assert [REACHABLE in sentence for sentence in exposed(result)] == [True, False]
    assert "token create" in exposed(result)[1]
    assert f"{tmp_path}/sluice.db is up to date." in result.output
    assert f"{tmp_path}/sluice.db.key" in result.output
    assert "Keys: environment-first (KEY_POLICY)." in result.output
    assert "60/minute and 4 at once" in result.output


def test_a_secret_is_a_login(doctor: Doctor) -> None:
    result = doctor(**JWT)
    assert (unsafe(result), exposed(result)) == ([], [])
    assert f"Login: tokens of {identity.ISSUER}, signed with AUTH_JWT_SECRET." in result.output
    assert identity.SECRET not in result.output


def test_published_keys_are_a_login(doctor: Doctor) -> None:
    url = "https://login.example/jwks.json"
    names = {name: value for name, value in JWT.items() if name != "AUTH_JWT_SECRET"}
    result = doctor(**names, AUTH_JWKS_URL=url)
    assert (unsafe(result), exposed(result)) == ([], [])
    assert f"the keys at {url}." in result.output
    both = doctor(**JWT, AUTH_JWKS_URL=url).output
    assert "AUTH_JWT_SECRET." in both
    assert f"the keys at {url}." in both


def test_a_token_is_a_login_even_when_it_is_revoked(doctor: Doctor, tmp_path: Path) -> None:
    doctor()
    with closing(sqlite3.connect(tmp_path / "sluice.db")) as database, database:
        database.execute("INSERT INTO profiles (user_id) VALUES ('alice')")
        database.execute("INSERT INTO tokens (id, hash, user_id, revoked_at) VALUES ('1', '2', 'alice', '2026-01-01')")
    result = doctor()
    assert (unsafe(result), exposed(result)) == ([], [])
    assert "Login: bearer tokens" in result.output


def test_the_application_around_it_is_a_login(tmp_path: Path) -> None:
    settings = Settings(database_url=f"sqlite:///{tmp_path}/sluice.db")
    result = create_app(settings, identify=lambda _: None).test_cli_runner().invoke(args=["doctor"])
    assert exposed(result) == []
    assert "Login: the application around this one decides who asks." in result.output


def test_what_can_be_spent_and_by_whose_policy_is_told(doctor: Doctor) -> None:
    result = doctor(KEY_POLICY="profile-first", OPENAI_API_KEY="sk-canary", GROQ_API_KEY="gsk-canary")
    assert "Keys: profile-first (KEY_POLICY)." in result.output
    assert "can spend the environment's keys of OpenAI, Groq." in result.output
    assert "canary" not in result.output
    assert "spend" not in doctor().output


def test_what_is_not_encrypted_on_its_way_is_unsafe(doctor: Doctor) -> None:
    result = doctor(
        **{name: value for name, value in JWT.items() if name != "AUTH_JWT_SECRET"},
        AUTH_JWKS_URL="http://login.example/jwks.json",
        AZURE_OPENAI_ENDPOINT="http://azure.example",
        GROQ_BASE_URL="http://groq.example/v1",
        OPENAI_BASE_URL="https://openai.example/v1",
        MISTRAL_BASE_URL="http://127.0.0.1:9/v1",
        CORS_ORIGINS="https://app.example,http://app.example,http://localhost:3000",
    )
    assert {sentence.split(":")[0] for sentence in unsafe(result)} == {
        *("AUTH_JWKS_URL", "AZURE_OPENAI_ENDPOINT", "GROQ_BASE_URL", "Browsers"),
    }
    assert "http://app.example are not encrypted" in result.output
    assert "http://localhost:3000 are not" not in result.output


def test_an_address_that_is_none_does_not_end_the_examination(doctor: Doctor) -> None:
    result = doctor(AZURE_OPENAI_ENDPOINT="http://[", ENDPOINT_ALLOWLIST="http://10.0.0.1", **JWT)
    assert "(ENDPOINT_ALLOWLIST)" in result.output
    assert result.exit_code == bool(unsafe(result))


def test_what_the_operator_has_widened_is_told(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    result = doctor(CORS_ORIGINS="https://app.example,*", ENDPOINT_ALLOWLIST="http://10.0.0.1:8080", **JWT)
    assert unsafe(result) == []
    assert "Browsers: pages of https://app.example, * may ask." in result.output
    assert "http://10.0.0.1:8080 (ENDPOINT_ALLOWLIST)." in result.output
    assert "(FORWARDED_ALLOW_IPS)." in result.output


def test_a_vault_without_its_key_is_unsafe(doctor: Doctor, tmp_path: Path) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings = Settings(database_url=f"sqlite:///{tmp_path}/sluice.db", vault_keys=(old,))
    set_ = create_app(settings).test_cli_runner().invoke(args=["profile", "set", "groq_api_key"], input="gsk-canary")
    assert set_.exit_code == 0
    assert unsafe(doctor(VAULT_KEYS=f"{new},{old}")) == []
    (sentence,) = unsafe(doctor(VAULT_KEYS=new))
    assert sentence.startswith("Vault: 1 settings cannot be decrypted")
    assert old not in sentence
    assert "VAULT_KEYS (2)" in doctor(VAULT_KEYS=f"{new},{old}").output


def test_a_broken_database_is_unsafe_and_shows_no_password(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert unsafe(doctor(DATABASE_URL=f"sqlite:///{tmp_path}/file/sluice.db"))
    key = Fernet.generate_key().decode()
    gone = doctor(
        DATABASE_URL=f"postgres://sluice:canary@127.0.0.1:{free_port()}/sluice?password=canary", VAULT_KEYS=key
    )
    assert [sentence.split(":")[0] for sentence in unsafe(gone)] == ["Database"]
    assert "canary" not in gone.output
    assert key not in gone.output
    assert "not known while the database cannot be read." in gone.output
    assert exposed(gone) == []


def test_an_unreachable_redis_is_unsafe_and_shows_no_password(doctor: Doctor) -> None:
    result = doctor(REDIS_URL=f"redis://:canary@127.0.0.1:{free_port()}/0", **JWT)
    assert [sentence.split(":")[0] for sentence in unsafe(result)] == ["Limits"]
    assert "canary" not in result.output
    assert "REDIS_URL makes them count together." in doctor(**JWT).output


def test_the_place_of_server_warnings_is_told(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor is another process than the server, and knows no more of it than the environment says."""
    assert "its log says at the first chat, in lines with `Server:`" in doctor(**JWT).output
    alone = ("-k sync", "--worker-class=sync --workers 2", "-ksync --threads 1", "-k gthread", "--worker-class gthread")
    for arguments in alone:
        monkeypatch.setenv("GUNICORN_CMD_ARGS", arguments)
        (sentence,) = unsafe(doctor(**JWT))
        assert "answers one request at a time" in sentence
    for arguments in ("", "--workers 2", "--threads 100 -k gthread", "-k sync --threads=2", "-k 'sync", "-k"):
        monkeypatch.setenv("GUNICORN_CMD_ARGS", arguments)
        assert unsafe(doctor(**JWT)) == []


@pytest.mark.parametrize(
    ("arguments", "flags", "lines"),
    [
        ("'--enable-shared'", "-fprofile-use -fprofile-correction", 1),
        ("'--enable-shared' '--enable-optimizations'", "-fprofile-use -fprofile-correction", 0),
        ("'--enable-shared'", "", 0),
        (None, None, 0),
    ],
    ids=["plain", "optimised", "debian", "unknown"],
)
def test_a_python_built_without_optimisation_is_told(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, arguments: str | None, flags: str | None, lines: int
) -> None:
    monkeypatch.setitem(sysconfig.get_config_vars(), "CONFIG_ARGS", arguments)
    monkeypatch.setitem(sysconfig.get_config_vars(), "PGO_PROF_USE_FLAG", flags)
    result = doctor(**JWT)
    assert sum(line.startswith("        Python: ") for line in findings(result)) == lines
    assert unsafe(result) == []


def test_the_log_says_at_the_start_that_there_is_no_login(
    processes: Processes, environment: Mapping[str, str], simulator: Simulator, tmp_path: Path
) -> None:
    """Each time, until there is one; a command says it to nobody."""
    service = replace(processes.service({}), database=tmp_path / "sluice.db")
    said = wait_for(lambda: [line for line in service.log.read_text().splitlines() if REACHABLE in line])
    assert len(said) == 1
    done = command(service, "token", "create", "--user", "alice")
    assert REACHABLE not in done.stdout + done.stderr
    again = processes.fresh_service({"DATABASE_URL": f"sqlite:///{service.database}"})
    assert REACHABLE not in again.log.read_text()
    known = processes.service(with_login(environment, simulator))
    assert REACHABLE not in known.log.read_text()
