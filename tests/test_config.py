"""The settings: defaults, units, and sentences for what cannot be one."""

import dataclasses
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from app import config, create_app, read_settings
from app.config import SettingError, Settings
from tests.processes import ROOT, environment_without, free_port, procfile

NUMBERS = [item.name.upper() for item in fields(Settings) if item.type in (int, float)]
WHOLE = ["MAX_BODY_BYTES", "MAX_BODIES_BYTES", "MAX_STREAMS", "MAX_STREAMS_PER_USER"]


def test_without_an_environment_every_setting_has_its_default() -> None:
    settings = config.read({})
    assert settings == Settings()
    assert {item.name: getattr(settings, item.name) for item in fields(Settings)} == {
        "database_url": settings.database_url,
        "commit_seconds": 20,
        "first_event_timeout_seconds": 120,
        "idle_timeout_seconds": 50,
        "stream_timeout_seconds": 600,
        "heartbeat_seconds": 15,
        "connect_timeout_seconds": 5,
        "body_timeout_seconds": 15,
        "write_timeout_seconds": 30,
        "drain_seconds": 20,
        "max_body_bytes": 10 * 1024 * 1024,
        "max_bodies_bytes": 64 * 1024 * 1024,
        "max_streams": 400,
        "auth_jwt_secret": "",
        "auth_jwks_url": "",
        "auth_jwt_audience": "",
        "auth_jwt_issuer": "",
        "cors_origins": (),
        "vault_keys": (),
        "key_policy": "environment-first",
        "endpoint_allowlist": (),
        "rate_limit": "60/minute",
        "max_streams_per_user": 4,
        "redis_url": "",
        "redis_tls_verify": "yes",
        "text_notes": "yes",
        "https_proxy": "",
        "no_proxy": "",
        "provider_environment": {},
    }
    assert settings.database_url.startswith("sqlite:///")
    assert settings.database_url.endswith("instance/sluice.db")


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().max_streams = 1  # type: ignore[misc]


@pytest.mark.parametrize("variable", NUMBERS)
def test_a_number_is_the_variable_of_its_name_in_capitals(variable: str) -> None:
    settings = config.read({variable: " 7 ", variable.lower(): "8"})
    assert getattr(settings, variable.lower()) == 7
    assert [
        item.name for item in fields(Settings) if getattr(settings, item.name) != getattr(Settings(), item.name)
    ] == [variable.lower()]


@pytest.mark.parametrize("variable", NUMBERS)
@pytest.mark.parametrize("value", ["", " ", "\t\n"])
def test_an_empty_variable_counts_as_unset(variable: str, value: str) -> None:
    assert config.read({variable: value}) == Settings()


@pytest.mark.parametrize("variable", NUMBERS)
@pytest.mark.parametrize(
    "value", ["0", "-1", "many", "1,5", "0x10", "nan", "inf", "-inf", "1e999", "5s", "9" * 5000, "None"]
)
def test_a_number_that_is_none_is_told_in_a_sentence(variable: str, value: str) -> None:
    if value == "9" * 5000 and variable not in WHOLE:
        value = "1e5000"
    with pytest.raises(SettingError) as error:
        config.read({variable: value})
    whole = "whole " if variable in WHOLE else ""
    assert str(error.value) == f"{variable} must be a {whole}number above 0, not {value!r}."


def test_the_proxy_may_be_named_in_small_letters_as_most_systems_do() -> None:
    proxies = {"https_proxy": "http://small.test:3128", "no_proxy": "a.test,b.test"}
    settings = config.read(proxies)
    assert (settings.https_proxy, settings.no_proxy) == ("http://small.test:3128", "a.test,b.test")
    assert config.read({**proxies, "HTTPS_PROXY": "http://u:p@big.test"}).https_proxy == "http://u:p@big.test"
    assert "big.test" not in repr(config.read({"HTTPS_PROXY": "http://u:p@big.test"}))


@pytest.mark.parametrize(
    "url", ["proxy.test:3128", "https://proxy.test", "socks5://proxy.test", "http://", "http://a:b:c"]
)
def test_a_proxy_that_cannot_be_used_is_told_in_a_sentence(url: str) -> None:
    with pytest.raises(SettingError, match=r"^HTTPS_PROXY must be an address like"):
        config.read({"HTTPS_PROXY": url})


def test_seconds_may_have_fractions_and_counts_may_not() -> None:
    assert config.read({"COMMIT_SECONDS": "0.5"}).commit_seconds == 0.5
    assert config.read({"DRAIN_SECONDS": "1e1"}).drain_seconds == 10
    for variable in WHOLE:
        assert type(getattr(config.read({variable: "3"}), variable.lower())) is int
        with pytest.raises(SettingError):
            config.read({variable: "3.5"})


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
def test_a_database_s_address_names_its_driver(given: str, expected: str) -> None:
    assert config.read({"DATABASE_URL": given}).database_url == expected


def test_the_providers_settings_are_kept_by_their_names_in_a_profile() -> None:
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
@pytest.mark.parametrize("keys", [SECRET, PUBLISHED, SECRET | PUBLISHED])
def test_tokens_that_are_not_checked_for_whom_they_are_meant_are_no_login(
    keys: dict[str, str], missing: set[str]
) -> None:
    given = {name: "" if name in missing else value for name, value in NAMES.items()}
    with pytest.raises(SettingError) as error:
        config.read(keys | given)
    assert str(error.value) == (
        "AUTH_JWT_AUDIENCE and AUTH_JWT_ISSUER must be set too, for tokens to be checked against."
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_login_without_keys_is_refused_and_not_passed_over(name: str) -> None:
    with pytest.raises(SettingError) as error:
        config.read({name: NAMES[name]})
    assert str(error.value) == "AUTH_JWT_AUDIENCE and AUTH_JWT_ISSUER need AUTH_JWT_SECRET or AUTH_JWKS_URL."


@pytest.mark.parametrize("secret", ["x", "s" * 31, "\u00fc" * 15, f"{'s' * 31} "])
def test_a_secret_that_can_be_guessed_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(SettingError) as error:
        config.read(NAMES | {"AUTH_JWT_SECRET": secret})
    assert str(error.value) == "AUTH_JWT_SECRET must be of 32 bytes or more."
    assert config.read(NAMES | {"AUTH_JWT_SECRET": "\u00fc" * 16}).auth_jwt_secret == "\u00fc" * 16


@pytest.mark.parametrize(
    "url", ["login.example", "ftp://login.example/x", "https://", "https:///x", "http://a:b/", "//a/"]
)
def test_keys_are_published_at_an_address(url: str) -> None:
    with pytest.raises(SettingError) as error:
        config.read(NAMES | {"AUTH_JWKS_URL": url})
    assert str(error.value) == "AUTH_JWKS_URL must be an address like https://login.example/.well-known/jwks.json."


@pytest.mark.parametrize("variable", ["CORS_ORIGINS", "ENDPOINT_ALLOWLIST"])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://app.example", ("https://app.example",)),
        (" https://app.example/ ,, http://localhost:3000,", ("https://app.example", "http://localhost:3000")),
        ("HTTPS://App.Example", ("https://app.example",)),
        ("http://[::1]:3000", ("http://[::1]:3000",)),
        ("https://xn--bcher-kva.example", ("https://xn--bcher-kva.example",)),
        (" , ,", ()),
    ],
)
def test_origins_are_written_as_browsers_write_them(variable: str, given: str, expected: tuple[str, ...]) -> None:
    assert getattr(config.read({variable: given}), variable.lower()) == expected


@pytest.mark.parametrize("variable", ["CORS_ORIGINS", "ENDPOINT_ALLOWLIST"])
@pytest.mark.parametrize(
    "origin",
    [
        *("app.example", "app.example:443", "//app.example", "null", "file:///x", "chrome-extension://x", "https://"),
        *(
            "https://app.example/chat",
            "https://app.example?x",
            "https://app.example#x",
            "https://app.example https://b",
        ),
        *("https://user@app.example", "https://app.example:", "https://app.example:0", "https://app.example:x"),
        *(
            "https://*.app.example",
            "https://*",
            "https://[::1",
            "https://b\u00fccher.example",
            "https://app.example\\x",
        ),
    ],
)
def test_an_origin_that_no_browser_writes_is_refused_in_a_sentence(variable: str, origin: str) -> None:
    """It would never be the one that asks, and nobody would learn why."""
    with pytest.raises(SettingError) as error:
        config.read({variable: f"https://good.example,{origin}"})
    assert str(error.value) == f"{variable} must be origins like https://app.example, not {origin.rstrip('/')!r}."


def test_any_origin_may_ask_if_the_operator_says_so_and_no_endpoint_is_any() -> None:
    assert config.read({"CORS_ORIGINS": "*"}).cors_origins == ("*",)
    assert config.read({"CORS_ORIGINS": "https://app.example, *"}).cors_origins == ("https://app.example", "*")
    with pytest.raises(SettingError, match=r"^ENDPOINT_ALLOWLIST must be origins"):
        config.read({"ENDPOINT_ALLOWLIST": "*"})


@pytest.mark.parametrize("origins", ["https://app.example:443", "http://app.example:80"])
def test_a_port_that_browsers_do_not_write_is_left_out(origins: str) -> None:
    assert config.read({"CORS_ORIGINS": origins}).cors_origins == (origins.rpartition(":")[0],)


@pytest.mark.parametrize("policy", config.KEY_POLICIES)
def test_a_policy_is_one_of_three(policy: str) -> None:
    assert config.read({"KEY_POLICY": f" {policy} "}).key_policy == policy


@pytest.mark.parametrize("policy", ["profile", "Profile-First", "profile_first", "environment-first,profile-first"])
def test_a_policy_that_is_none_is_refused_in_a_sentence(policy: str) -> None:
    with pytest.raises(SettingError) as error:
        config.read({"KEY_POLICY": policy})
    known = "environment-first, profile-first, environment-only"
    assert str(error.value) == f"KEY_POLICY must be one of {known}, not {policy!r}."


def test_vault_keys_are_separated_by_commas() -> None:
    assert config.read({"VAULT_KEYS": " one, two,\n"}).vault_keys == ("one", "two")


ELSEWHERE = {
    # Read by who uses them, and refused in the same way before anything is served.
    "VAULT_KEYS": ("canary", "VAULT_KEYS must be Fernet keys: 32 bytes in URL-safe base64, separated by commas."),
    "RATE_LIMIT": ("many", "RATE_LIMIT must be a number of requests in a time, like 60/minute, not 'many'."),
    "REDIS_URL": ("canary", "REDIS_URL must be an address like redis://:password@redis.example:6379/0."),
    "DATABASE_URL": ("canary", "DATABASE_URL is not the URL of a database."),
}


@pytest.mark.parametrize("variable", ELSEWHERE)
def test_whatever_cannot_be_used_stops_the_start_with_a_sentence(tmp_path: Path, variable: str) -> None:
    value, sentence = ELSEWHERE[variable]
    with pytest.raises(SettingError) as error:
        create_app(read_settings({"DATABASE_URL": f"sqlite:///{tmp_path}/sluice.db", variable: value}))
    assert str(error.value) == sentence


def test_the_server_stops_with_that_sentence_and_nothing_else(tmp_path: Path) -> None:
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
