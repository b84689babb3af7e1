"""Settings that are wrong, each with a secret in it: the service says which, and not what is in it."""

import traceback
from collections.abc import Mapping
from pathlib import Path

import pytest

from app import create_app, read_settings
from app.config import SettingError
from tests.canaries.house import House
from tests.canaries.marks import canary, found

FERNET = "A" * 43 + "="
LOGIN = {"AUTH_JWT_AUDIENCE": "authenticated", "AUTH_JWT_ISSUER": "https://login.example"}

WRONG: dict[str, list[str]] = {
    "DATABASE_URL": [
        "postgres://me:{0}@127.0.0.1:1/db",
        "postgres://me@127.0.0.1:1/db?password={0}",
        "postgres://me:{0}@127.0.0.1:54x2/db",
        "postgres://me:{0}",
        "postgres://me:{0}/db",
        "postgres://me:{0}@[::1/db",
        "postgres://me:a@{0}@127.0.0.1:1/db",
        "postgres://me:a/{0}@127.0.0.1:1/db",
        "postgres://me:a%zz{0}@127.0.0.1:1/db",
        "postgres//me:{0}@127.0.0.1/db",
        "me:{0}@127.0.0.1/db",
        "mysql://me:{0}@127.0.0.1/db",
        "{0}",
    ],
    "REDIS_URL": [
        "redis://:{0}@127.0.0.1:1/0",
        "redis://:{0}@127.0.0.1:1/{0}",
        "redis://127.0.0.1:1/0?password={0}",
        "redis://:{0}@127.0.0.1:63x9/0",
        "redis://:a@{0}@127.0.0.1:1",
        "redis://:a/{0}@127.0.0.1:1",
        "redis://:a#{0}@127.0.0.1:1",
        "redis//:{0}@127.0.0.1",
        "http://:{0}@127.0.0.1",
        "unix://:{0}@/none",
        "{0}",
    ],
    "HTTPS_PROXY": [
        "http://me:{0}@127.0.0.1:x",
        "https://me:{0}@127.0.0.1",
        "http://me:{0}",
        "me:{0}@127.0.0.1",
        "{0}",
    ],
    "VAULT_KEYS": ["{0}", "{0}{0}", f"{FERNET},{{0}}", f"{FERNET} {{0}}", "\N{BULLET}{0}"],
    "AUTH_JWT_SECRET": ["{0:.20}"],
    "AUTH_JWKS_URL": ["https://me:{0}@127.0.0.1:1/jwks.json", "https://me:{0}@127.0.0.1:x", "me:{0}@127.0.0.1"],
    "OPENAI_BASE_URL": ["http://me:{0}@provider.test/v1", "me:{0}@provider.test", "{0}"],
    "OPENAI_API_KEY": ["{0} and more", "{0}\n", "\N{BULLET}{0}"],
    "AZURE_OPENAI_API_KEY": ["{0} and more"],
    "AZURE_OPENAI_DEPLOYMENTS": ["{0}"],
}


@pytest.mark.parametrize("variable", WRONG)
def test_a_setting_that_is_wrong_is_named_and_not_shown(
    variable: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = []
    for shape in WRONG[variable]:
        secret = canary(variable)
        settings = {"DATABASE_URL": f"sqlite:///{tmp_path}/sluice.db", "VAULT_KEYS": FERNET}
        settings |= LOGIN if variable.startswith("AUTH_") else {}
        said = said_by({**settings, variable: shape.format(secret.value)}) + caplog.text
        wrong += [f"{shape}: {hit}" for hit in found(said.encode(), [secret])]
        wrong += [f"{shape}: {said.splitlines()[-1]}"] * ("Traceback" in said)
        caplog.clear()
    assert not wrong, "\n".join(wrong)


def said_by(environ: Mapping[str, str]) -> str:
    """Make the application, and look at it with its commands; return all that is said, tracebacks too."""
    try:
        app = create_app(read_settings(environ))
    except SettingError as error:
        return str(error)
    except Exception:  # noqa: BLE001 - it is told of
        return traceback.format_exc()
    said = [app.test_cli_runner().invoke(args=line.split()) for line in ("doctor", "profile show", "token list")]
    mistakes = [one.exc_info for one in said if one.exc_info and one.exc_info[0] is not SystemExit]
    return "".join(one.output for one in said) + "".join("".join(traceback.format_exception(*one)) for one in mistakes)


def test_a_service_that_cannot_start_does_not_say_why_in_secrets(small: House) -> None:
    """As an operator sees it: the real thing, on a terminal."""
    wrong = {"DATABASE_URL": f"postgres://me:{small.add('no host')}", "VAULT_KEYS": small.add("no key")}
    for variable, value in wrong.items():
        done = small.run("doctor", **{"VAULT_KEYS": FERNET, variable: value})
        assert done.returncode
        assert b"Traceback" not in done.stderr
        assert variable.encode() in done.stderr
