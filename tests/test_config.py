"""The settings: what is read, sentences for what cannot be used, and the two files that tell of them."""

import dataclasses
import json
import re
import subprocess
from dataclasses import Field
from pathlib import Path
from typing import Any

import pytest

from app import config, create_app, read_settings
from app.config import DECLARED, SettingError, Settings
from app.providers import PROVIDERS
from tests.processes import ROOT, environment_without, free_port, procfile

pytestmark = pytest.mark.usefixtures("_no_authorities")

OF_GUNICORN = {"PORT", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS"}
"""Variables that gunicorn reads itself."""
ANY_TEXT = {"AUTH_JWT_AUDIENCE", "AUTH_JWT_ISSUER", "NO_PROXY"}
ELSEWHERE = {
    # Checked by what uses them, and refused in the same way before anything is served.
    "VAULT_KEYS": ("canary", "VAULT_KEYS must be Fernet keys: 32 bytes in URL-safe base64, separated by commas."),
    "RATE_LIMIT": ("many", "RATE_LIMIT must be a number of requests in a time, like 60/minute, not 'many'."),
    "REDIS_URL": ("canary", "REDIS_URL must be an address like redis://:password@redis.example:6379/0."),
    "DATABASE_URL": ("canary", "DATABASE_URL is not the URL of a database."),
}


def readme_row(variable: str, item: Field[Any]) -> str:
    """Write the line of README's table as the declaration has it."""
    if isinstance(item.default, int):
        default = f"{item.default:,} {item.metadata['kind'].metadata['unit']}".strip().replace(",", " ")
    else:
        default = f"`{item.default}`" if item.default else "none"
    return f"| `{variable}` | {default} | {item.metadata['sentence']} |"


def test_the_readme_has_every_setting_as_it_is_declared() -> None:
    section = (ROOT / "README.md").read_text().partition("\n## Settings\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    declared = [readme_row(variable, item) for variable, item in DECLARED.items()]
    assert [row for row in rows if row.split("`")[1] not in OF_GUNICORN] == declared


def test_what_heroku_is_told_of_a_setting_is_what_it_is() -> None:
    """Each begins as the declaration does, with a value that it can have; no field of a provider is left out."""
    told = json.loads((ROOT / "app.json").read_text())["env"]
    providers = {setting.variable for one in PROVIDERS.values() for setting in (one.key, *one.settings)}
    assert set(told) - DECLARED.keys() - OF_GUNICORN == providers
    for variable in told.keys() & DECLARED.keys():
        sentence = re.split("[;:]", DECLARED[variable].metadata["sentence"].replace("`", ""))[0]
        assert told[variable]["description"].startswith(sentence[0].upper() + sentence[1:])
    config.read({variable: setting["value"] for variable, setting in told.items() if "value" in setting})


@pytest.mark.parametrize("variable", sorted(DECLARED.keys() - ANY_TEXT - ELSEWHERE.keys()))
def test_every_setting_has_a_validator(variable: str) -> None:
    with pytest.raises(SettingError, match=rf"^{variable} must be .*[a-z].*\.$"):
        config.read({variable: "-1"})


def test_every_setting_is_declared() -> None:
    assert {item.name.upper() for item in dataclasses.fields(Settings)} == {*DECLARED, "PROVIDER_ENVIRONMENT"}


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().max_streams = 1  # type: ignore[misc]


@pytest.mark.parametrize("value", [None, "", " ", "\t\n"])
def test_a_variable_that_is_empty_or_missing_is_the_default(value: str | None) -> None:
    given = {} if value is None else dict.fromkeys(DECLARED, value)
    assert config.read(given) == Settings()


def test_a_setting_is_the_variable_of_its_name_in_capitals() -> None:
    given = config.read({"MAX_STREAMS": " 7 ", "max_streams": "8", "max_body_bytes": "9"})
    assert given == Settings(max_streams=7)


@pytest.mark.parametrize("value", ["0", "-1", "many", "1,5", "0x10", "nan", "inf", "-inf", "1e999", "5s", "None"])
def test_a_time_is_a_number_above_0(value: str) -> None:
    with pytest.raises(SettingError) as error:
        config.read({"COMMIT_SECONDS": value})
    assert str(error.value) == f"COMMIT_SECONDS must be a number above 0, not {value!r}."
    assert config.read({"COMMIT_SECONDS": "0.5"}).commit_seconds == 0.5
    assert config.read({"COMMIT_SECONDS": "1e1"}).commit_seconds == 10


@pytest.mark.parametrize("value", ["0", "-1", "many", "3.5", "1e3", "0x10", "nan", "inf", "9" * 5000])
def test_a_count_is_a_whole_number_above_0(value: str) -> None:
    with pytest.raises(SettingError) as error:
        config.read({"MAX_STREAMS": value})
    assert str(error.value) == f"MAX_STREAMS must be a whole number above 0, not {value!r}."
    assert type(config.read({"MAX_STREAMS": "3"}).max_streams) is int


@pytest.mark.parametrize("value", ["25.1", "1000", "0", "nan"])
def test_the_drain_ends_before_the_platform_kills(value: str) -> None:
    assert config.read({"DRAIN_SECONDS": "25"}).drain_seconds == 25
    with pytest.raises(SettingError) as error:
        config.read({"DRAIN_SECONDS": value})
    must_be = "a number above 0 and at most 25 (platforms kill what is left at 30 s)"
    assert str(error.value) == f"DRAIN_SECONDS must be {must_be}, not {value!r}."


@pytest.mark.parametrize("value", ["true", "Yes", "yes,no"])
def test_a_switch_is_yes_or_no(value: str) -> None:
    assert config.read({"TEXT_NOTES": "no"}).text_notes == "no"
    with pytest.raises(SettingError) as error:
        config.read({"TEXT_NOTES": value})
    assert str(error.value) == f"TEXT_NOTES must be one of yes, no, not {value!r}."


def test_the_proxy_may_be_named_in_small_letters() -> None:
    proxies = {"https_proxy": "http://small.test:3128", "no_proxy": "a.test,b.test"}
    settings = config.read(proxies)
    assert (settings.https_proxy, settings.no_proxy) == ("http://small.test:3128", "a.test,b.test")
    assert config.read({**proxies, "HTTPS_PROXY": "http://u:p@big.test"}).https_proxy == "http://u:p@big.test"
    assert "big.test" not in repr(config.read({"HTTPS_PROXY": "http://u:p@big.test"}))


@pytest.mark.parametrize(
    "url", ["proxy.test:3128", "https://proxy.test", "socks5://proxy.test", "http://", "http://a:b:c"]
)
def test_a_proxy_is_an_address_of_http(url: str) -> None:
    with pytest.raises(SettingError, match=r"^HTTPS_PROXY must be an address like"):
        config.read({"HTTPS_PROXY": url})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgres://u:p@h:5432/d", "postgresql+psycopg://u:p@h:5432/d"),
        ("postgresql://u:p@h/d?sslmode=require", "postgresql+psycopg://u:p@h/d?sslmode=require"),
        ("postgresql+psycopg://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgres://u:postgres://@h/d", "postgresql+psycopg://u:postgres://@h/d"),
        ("sqlite:////data/a.db", "sqlite:////data/a.db"),
        (" sqlite:// ", "sqlite://"),
        ("", Settings().database_url),
    ],
)
def test_the_address_of_a_database_names_its_driver(given: str, expected: str) -> None:
    assert config.read({"DATABASE_URL": given}).database_url == expected


def test_settings_of_providers_have_their_names_in_a_profile() -> None:
    known = {"openai_api_key": "OPENAI_API_KEY", "azure_openai_35_turbo_id": "AZURE_GPT_35_TURBO_NAME"}
    environ = {
        "OPENAI_API_KEY": " sk-1\n",
        "AZURE_GPT_35_TURBO_NAME": "",
        "GROQ_API_KEY": "gsk_1",
        "openai_api_key": "x",
    }
    assert config.read(environ, known).provider_environment == {"openai_api_key": "sk-1"}


NAMES = {"AUTH_JWT_AUDIENCE": "authenticated", "AUTH_JWT_ISSUER": "https://login.example"}
SECRET = {"AUTH_JWT_SECRET": "s" * 32}
PUBLISHED = {"AUTH_JWKS_URL": "https://login.example/jwks.json"}


@pytest.mark.parametrize("keys", [SECRET, PUBLISHED, SECRET | PUBLISHED])
def test_a_login_is_its_keys_its_audience_and_its_issuer(keys: dict[str, str]) -> None:
    settings = config.read({name: f" {value}\n" for name, value in (keys | NAMES).items()})
    given = {name: getattr(settings, name.lower()) for name in ("AUTH_JWT_SECRET", "AUTH_JWKS_URL", *NAMES)}
    assert given == {"AUTH_JWT_SECRET": "", "AUTH_JWKS_URL": "", **keys, **NAMES}


@pytest.mark.parametrize("missing", [*[{name} for name in NAMES], set(NAMES)])
@pytest.mark.parametrize("keys", [SECRET, PUBLISHED])
def test_a_login_needs_an_audience_and_an_issuer(keys: dict[str, str], missing: set[str]) -> None:
    given = {name: "" if name in missing else value for name, value in NAMES.items()}
    with pytest.raises(SettingError) as error:
        config.read(keys | given)
    assert str(error.value) == (
        "AUTH_JWT_AUDIENCE and AUTH_JWT_ISSUER must be set too, for tokens to be checked against."
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_login_without_keys_is_refused(name: str) -> None:
    with pytest.raises(SettingError) as error:
        config.read({name: NAMES[name]})
    assert str(error.value) == "AUTH_JWT_AUDIENCE and AUTH_JWT_ISSUER need AUTH_JWT_SECRET or AUTH_JWKS_URL."


@pytest.mark.parametrize(
    "secret", ["x", "s" * 31, "\u00fc" * 15, f"{'s' * 31} ", f"-----BEGIN PUBLIC KEY-----{'A' * 90}"]
)
def test_a_secret_that_can_be_guessed_is_refused(secret: str) -> None:
    with pytest.raises(SettingError) as error:
        config.read(NAMES | {"AUTH_JWT_SECRET": secret})
    must_be = "a shared secret of 32 bytes or more; AUTH_JWKS_URL is for public keys"
    assert str(error.value) == f"AUTH_JWT_SECRET must be {must_be}."
    assert config.read(NAMES | {"AUTH_JWT_SECRET": "\u00fc" * 16}).auth_jwt_secret == "\u00fc" * 16


@pytest.mark.parametrize(
    "url", ["login.example", "ftp://login.example/x", "https://", "https:///x", "http://a:b/", "//a/"]
)
def test_keys_are_published_at_an_address(url: str) -> None:
    with pytest.raises(SettingError) as error:
        config.read(NAMES | {"AUTH_JWKS_URL": url})
    assert str(error.value) == "AUTH_JWKS_URL must be an address like https://login.example/.well-known/jwks.json."


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://app.example", ("https://app.example",)),
        (" https://app.example/ ,, http://localhost:3000,", ("https://app.example", "http://localhost:3000")),
        ("HTTPS://App.Example", ("https://app.example",)),
        ("http://[::1]:3000", ("http://[::1]:3000",)),
        ("https://xn--bcher-kva.example", ("https://xn--bcher-kva.example",)),
        ("https://app.example:443,http://app.example:80", ("https://app.example", "http://app.example")),
        (" , ,", ()),
    ],
)
def test_origins_are_written_as_browsers_write_them(given: str, expected: tuple[str, ...]) -> None:
    settings = config.read({"CORS_ORIGINS": given, "ENDPOINT_ALLOWLIST": given})
    assert settings.cors_origins == settings.endpoint_allowlist == expected


NO_ORIGINS = """
    app.example app.example:443 //app.example null file:///x chrome-extension://x https:// https://app.example/chat
    https://app.example?x https://app.example#x https://user@app.example https://app.example: https://app.example:0
    https://app.example:x https://*.app.example https://* https://[::1 https://b\u00fccher.example https://app.example\\x
"""


@pytest.mark.parametrize("origin", [*NO_ORIGINS.split(), "https://app.example https://b"])
def test_an_origin_that_no_browser_writes_is_refused(origin: str) -> None:
    """It would never be the one that asks, and nobody would learn why."""
    given = f"https://good.example,{origin}"
    with pytest.raises(SettingError) as error:
        config.read({"CORS_ORIGINS": given})
    must_be = "origins like https://app.example, separated by commas"
    assert str(error.value) == f"CORS_ORIGINS must be {must_be}, not {given!r}."


def test_any_origin_may_ask_and_not_any_be_an_endpoint() -> None:
    assert config.read({"CORS_ORIGINS": "*"}).cors_origins == ("*",)
    assert config.read({"CORS_ORIGINS": "https://app.example, *"}).cors_origins == ("https://app.example", "*")
    with pytest.raises(SettingError, match=r"^ENDPOINT_ALLOWLIST must be origins"):
        config.read({"ENDPOINT_ALLOWLIST": "*"})


@pytest.mark.parametrize("policy", config.KEY_POLICIES)
def test_a_policy_is_one_of_three(policy: str) -> None:
    assert config.read({"KEY_POLICY": f" {policy} "}).key_policy == policy


@pytest.mark.parametrize("policy", ["profile", "Profile-First", "profile_first", "environment-first,profile-first"])
def test_a_policy_that_nobody_knows_is_refused(policy: str) -> None:
    with pytest.raises(SettingError) as error:
        config.read({"KEY_POLICY": policy})
    known = "environment-first, profile-first, environment-only"
    assert str(error.value) == f"KEY_POLICY must be one of {known}, not {policy!r}."


def test_vault_keys_are_separated_by_commas() -> None:
    assert config.read({"VAULT_KEYS": " one, two,\n"}).vault_keys == ("one", "two")


@pytest.mark.parametrize("variable", ELSEWHERE)
def test_what_cannot_be_used_stops_the_start(tmp_path: Path, variable: str) -> None:
    value, sentence = ELSEWHERE[variable]
    with pytest.raises(SettingError) as error:
        create_app(read_settings({"DATABASE_URL": f"sqlite:///{tmp_path}/sluice.db", variable: value}))
    assert str(error.value) == sentence


def test_the_server_stops_with_that_sentence_alone(tmp_path: Path) -> None:
    own = {"DATABASE_URL": f"sqlite:///{tmp_path}/sluice.db", "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{free_port()}"}
    line, environment = procfile("web"), environment_without(own | SECRET)
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "Sluice cannot start: AUTH_JWT_AUDIENCE and AUTH_JWT_ISSUER must be set too" in said
    assert "Traceback" not in said
    assert SECRET["AUTH_JWT_SECRET"] not in said


def test_no_secret_is_shown_where_settings_are_printed() -> None:
    environ = {
        **NAMES,
        "OPENAI_API_KEY": "sk-canary",
        "DATABASE_URL": "postgres://u:canary@h/d",
        "REDIS_URL": "redis://:canary@h:6379/0",
        "AUTH_JWT_SECRET": "canary" * 6,
        "VAULT_KEYS": "canary,canary",
        "HTTPS_PROXY": "http://u:canary@proxy.example",
    }
    settings = config.read(environ, {"openai_api_key": "OPENAI_API_KEY"})
    assert "canary" not in repr(settings) + str(settings)
    assert "login.example" in repr(settings)
