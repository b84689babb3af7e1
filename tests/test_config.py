"""The settings: defaults, units, and sentences for what cannot be one."""

import dataclasses
from dataclasses import fields

import pytest

from app import config
from app.config import SettingError, Settings

NUMBERS = [item.name.upper() for item in fields(Settings) if item.type in (int, float)]
WHOLE = ["MAX_BODY_BYTES", "MAX_STREAMS"]


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
        "max_streams": 400,
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


def test_no_secret_is_shown_where_settings_are_printed() -> None:
    environ = {"OPENAI_API_KEY": "sk-secret", "DATABASE_URL": "postgres://u:pa55word@h/d"}
    shown = repr(config.read(environ, {"openai_api_key": "OPENAI_API_KEY"}))
    assert "sk-secret" not in shown
    assert "pa55word" not in shown
