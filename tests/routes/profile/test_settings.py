"""A user's own settings: seen, set and removed over the routes that the page uses."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from app import create_app
from app.config import Settings
from app.providers import PROVIDERS, Field
from app.providers.forms import DEPLOYMENTS, ENDPOINT, HEADER, KEY, NAME, VERSION
from tests.client import ask
from tests.login.users import User, mark, question, seen, somebody, told
from tests.processes import Processes, Simulator
from tests.raw import connect

GOOD = {
    KEY: "sk-canary-0123456789",
    HEADER: "org-0123456789",
    NAME: "my deployment",
    VERSION: "2024-10-21",
    DEPLOYMENTS: '{"gpt-5.1": "mine"}',
    ENDPOINT: "https://resource.openai.azure.com",
}
"""A value of each form."""

SETTINGS = {setting.name: (provider, setting) for provider in PROVIDERS.values() for setting in provider.own_fields}
OPERATORS = [setting.name for provider in PROVIDERS.values() for setting in provider.settings if setting.operator_only]


def states(user: User) -> dict[str, dict[str, Any]]:
    """Return what is shown of each setting, by its name."""
    return {one["name"]: one for one in user.ask("/api/profile").json()["settings"]}


def test_every_setting_that_a_user_may_have_is_shown(user: User) -> None:
    reply = user.ask("/api/profile")
    body = reply.json()
    assert (body["user"], body["keyPolicy"]) == (user.id, "environment-first")
    assert [one["name"] for one in body["settings"]] == list(SETTINGS)
    for one in body["settings"]:
        provider, setting = SETTINGS[one["name"]]
        assert one == {
            "name": setting.name,
            "provider": provider.name,
            "label": provider.label,
            "isKey": setting.form is KEY,
            "source": None if setting.form is VERSION else "environment",
            "isInProfile": False,
            "isLocked": False,
            "lastFour": None,
            "value": None,
        }


@pytest.mark.parametrize(("provider", "setting"), SETTINGS.values(), ids=SETTINGS)
def test_a_setting_is_set_shown_and_removed(user: User, provider: object, setting: Field) -> None:
    """The environment, which has a key of every provider, stays the source of all that goes with it."""
    before, value = states(user), GOOD[setting.form]
    shown = {"lastFour": value[-4:]} if setting.form is KEY else {"value": value}
    expected = before[setting.name] | shown | {"isInProfile": True}
    reply = user.put(setting.name, f" {value}\n")
    assert (reply.status, reply.json()) == (200, expected)
    assert states(user) == before | {setting.name: expected}
    for _ in range(2):
        reply = user.delete(setting.name)
        assert (reply.status, reply.json()) == (200, before[setting.name])
        assert states(user) == before


def test_a_setting_is_replaced_by_the_next(user: User) -> None:
    user.has(groq_api_key="gsk-the-first-0001").has(groq_api_key="gsk-the-second-0002")
    assert user.own() == {"groq_api_key": "0002"}


@pytest.mark.parametrize(
    ("key", "last"),
    [("x" * 7 + "1234", None), ("x" * 8 + "1234", "1234"), ("1234", None), ("x" * 496 + "1234", "1234")],
)
def test_the_last_four_of_a_long_key_are_shown(user: User, key: str, last: str | None) -> None:
    assert user.put("openai_api_key", key).json()["lastFour"] == last


def test_nothing_of_the_keys_in_the_environment_is_shown(user: User, environment: Mapping[str, str]) -> None:
    shown = user.ask("/api/profile").body.decode() + user.ask("/api/keys").body.decode()
    for name, value in environment.items():
        assert value not in shown
        assert not name.endswith("_KEY") or value[-4:] not in shown


BAD: dict[Any, list[object]] = {
    KEY: ["", " ", "a b", "a\tb", "a\nb", "a\r\nX-Evil: 1", "a\0b", "a\x7fb", "schlüssel", "k\u200bey", "x" * 501],
    HEADER: ["", "a b", "org\nX-Evil: 1", "org\0", "örg", "x" * 201],
    NAME: ["", "  ", "a\nb", "a\0b", "a\x1bb", "a\u2028b", "a\u202eb", "x" * 201],
    VERSION: ["", "2024 10", "../v1", "2024-10-21&x=y", "2024-10-21\n1", "x" * 41],
    DEPLOYMENTS: [
        *("", "{", "[]", "7", "null", '"x"', '{"a": 1}', '{"a": null}', '{"a": ""}', '{"a": "b\\nc"}'),
        *('{"a": {"b": "c"}}', "[" * 5000, json.dumps({"a": "x" * 201}), json.dumps({"a" * 10_000: "b"})),
    ],
    ENDPOINT: [
        "",
        "resource.openai.azure.com",
        "ftp://a.example",
        "https://",
        "https://a b",
        "https://ä.example",
        "x:",
    ],
}
SENTENCES = {
    KEY: "must be 1 to 500 visible ASCII characters without a space.",
    HEADER: "must be 1 to 200 visible ASCII characters without a space.",
    NAME: "must be a name of 1 to 200 characters.",
    VERSION: "must be a version like 2024-10-21.",
    DEPLOYMENTS: 'must be deployments by their models, like {"gpt-5.1": "my-deployment"}.',
    ENDPOINT: "must be an address like https://NAME.openai.azure.com.",
}
NO_TEXT: list[object] = [None, 7, 1.5, True, [], ["x"], {}, {"value": "x"}]


@pytest.mark.parametrize(("_provider", "setting"), SETTINGS.values(), ids=SETTINGS)
def test_an_impossible_value_is_refused_and_not_kept(user: User, _provider: object, setting: Field) -> None:
    for value in [*BAD[setting.form], *NO_TEXT]:
        reply = user.put(setting.name, value)
        assert told(reply) == (400, "bad_body", f"{setting.name} {SENTENCES[setting.form]}"), value
        assert reply.headers["Cache-Control"] == "no-store"
    missing = user.ask(f"/api/profile/settings/{setting.name}", b'{"Value": "x"}', method="PUT")
    assert told(missing)[:2] == (400, "bad_body")
    assert user.own() == {}


@pytest.mark.parametrize("name", ["nothing", "OPENAI_API_KEY", "openai_api_key2", "user", "%6fpenai", *OPERATORS])
def test_there_are_no_other_settings(user: User, name: str) -> None:
    """The operator's are none of a user's."""
    for reply in (user.put(name, GOOD[ENDPOINT]), user.delete(name), user.check(name)):
        assert told(reply) == (404, "not_found", "There is no such setting.")
    assert user.own() == {}


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/api/profile", {"GET", "HEAD", "OPTIONS"}),
        ("PUT", "/api/profile", {"GET", "HEAD", "OPTIONS"}),
        ("DELETE", "/api/profile", {"GET", "HEAD", "OPTIONS"}),
        ("GET", "/api/profile/settings/groq_api_key", {"DELETE", "PUT", "OPTIONS"}),
        ("POST", "/api/profile/settings/groq_api_key", {"DELETE", "PUT", "OPTIONS"}),
        ("PATCH", "/api/profile/settings/groq_api_key", {"DELETE", "PUT", "OPTIONS"}),
        ("GET", "/api/profile/settings/groq_api_key/check", {"POST", "OPTIONS"}),
        ("PUT", "/api/profile/settings/groq_api_key/check", {"POST", "OPTIONS"}),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(user: User, method: str, path: str, allowed: set[str]) -> None:
    reply = user.ask(path, b"{}", method=method)
    assert told(reply)[:2] == (405, "method")
    assert set(reply.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"", {}, 400, "bad_body"),
        (b"x", {}, 400, "bad_body"),
        (b"[]", {}, 400, "bad_body"),
        (b'"gsk-0123456789"', {}, 400, "bad_body"),
        (b'{"value": "x"} x', {}, 400, "bad_body"),
        (b'{"value": "x", "value": "y"}', {}, 400, "bad_body"),
        (b'{"value": "\xff"}', {}, 400, "bad_body"),
        (b'{"value": "\\ud800"}', {}, 400, "bad_body"),
        (b'{"value": NaN}', {}, 400, "bad_body"),
        (b"[" * 10_000, {}, 400, "bad_body"),
        (b'{"value": "x"}', {"content_encoding": "gzip"}, 415, "bad_type"),
        (b'{"value": "x"}', {"content_type": "multipart/form-data; boundary=x"}, 415, "bad_type"),
        (b'{"value": "' + b" " * 11 * 1024**2 + b'x"}', {}, 413, "too_large"),
    ],
)
def test_a_body_is_read_as_that_of_a_chat_is(
    user: User, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    if code == "too_large":
        body, headers = b"{}", {"content_length": "11534336"}
    reply = user.ask("/api/profile/settings/groq_api_key", body, method="PUT", **headers)
    assert told(reply)[:2] == (status, code)
    assert user.own() == {}


def test_a_body_may_come_in_chunks_and_under_any_name(user: User) -> None:
    head = "PUT /api/profile/settings/groq_api_key HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    body = json.dumps({"value": "gsk-0123456789", "other": 7}).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    with connect(user.service.port, f"{head}Authorization: Bearer {user.token}\r\n\r\n".encode() + chunks) as client:
        assert client.finish().status == 200
    assert user.own() == {"groq_api_key": "6789"}


def test_no_answer_about_a_profile_is_kept_on_the_way(user: User) -> None:
    user.has(groq_api_key=mark("key"))
    for reply in (
        user.ask("/api/profile"),
        user.put("groq_api_key", "gsk-0123456789"),
        user.check("groq_api_key"),
        user.delete("groq_api_key"),
        user.check("groq_api_key"),
        user.delete("nothing"),
        ask(user.service, "/api/profile", None, method="GET"),
    ):
        assert reply.headers["Cache-Control"] == "no-store"
        assert reply.headers["Content-Type"] == "application/json"


def test_an_undecryptable_value_is_told_and_can_be_set_again(tmp_path: Path) -> None:
    """Nobody is shut out of his own profile, and a chat says that it is not his fault."""
    keys = [(Fernet.generate_key().decode(),) for _ in range(2)]
    settings = [Settings(database_url=f"sqlite:///{tmp_path}/sluice.db", vault_keys=key) for key in keys]
    one = {"value": "gsk-canary-0123456789"}
    assert create_app(settings[0]).test_client().put("/api/profile/settings/groq_api_key", json=one).status_code == 200
    client = create_app(settings[1]).test_client()

    def shown() -> dict[str, Any]:
        settings = client.get("/api/profile").get_json()["settings"]
        return next(dict(one) for one in settings if one["name"] == "groq_api_key")

    told_of = ("isInProfile", "isLocked", "lastFour")
    assert [shown()[name] for name in told_of] == [True, True, None]
    reply = client.post("/api/chat/groq", data=question())
    assert (reply.status_code, reply.get_json()["code"]) == (503, "vault_locked")
    assert client.put("/api/profile/settings/groq_api_key", json=one).status_code == 200
    assert [shown()[name] for name in told_of] == [True, False, "6789"]


def test_an_endpoint_is_shown_as_it_is_used_with_its_key(
    processes: Processes, login_environment: Mapping[str, str], simulator: Simulator
) -> None:
    """The environment's key is not used with it, so that it is kept and unused until there is a key of the user's."""
    bare = {name: value for name, value in login_environment.items() if name != "AZURE_OPENAI_ENDPOINT"}
    user = somebody(processes.service({**bare, "KEY_POLICY": "profile-first"}))
    for has, source in (("azure_openai_endpoint", None), ("azure_openai_api_key", "profile")):
        user.has(**{has: f"{simulator.url}/azure"})
        one = states(user)["azure_openai_endpoint"]
        assert (one["source"], one["isInProfile"]) == (source, True)


def test_with_environment_only_a_profile_is_kept_and_unused(
    processes: Processes, login_environment: Mapping[str, str], simulator: Simulator
) -> None:
    """Its owner sees that, and may try his key all the same."""
    bare = {name: value for name, value in login_environment.items() if not name.endswith("_API_KEY")}
    user, key = somebody(processes.service({**bare, "KEY_POLICY": "environment-only"})), mark("key")
    user.has(groq_api_key=key, azure_openai_35_turbo_id="mine")
    shown = states(user)
    assert user.ask("/api/profile").json()["keyPolicy"] == "environment-only"
    told_of = {name: (one["source"], one["isInProfile"]) for name, one in shown.items() if one["isInProfile"]}
    assert told_of == {"groq_api_key": (None, True), "azure_openai_35_turbo_id": ("environment", True)}
    assert told(user.chat("groq"))[:2] == (400, "missing_key")
    assert user.check("groq_api_key").status == 200
    assert [request["method"] for request in seen(simulator, key)] == ["GET"]
