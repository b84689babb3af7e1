"""Endpoints that users choose: where theirs may be, and that the key there was for it stays its own."""

from collections.abc import Mapping

import pytest

from app import create_app, read_settings
from tests.login.users import NOBODY_LISTENS, User, mark, question, seen, told
from tests.processes import Simulator

KEY, ENDPOINT = "azure_openai_api_key", "azure_openai_endpoint"
OTHERS = {"azure_openai_35_turbo_id": "mine", "azure_openai_api_version": "2024-10-21"}


BLOCKED = {
    "http://resource.openai.azure.com": "must begin with https://",
    "https://resource.openai.azure.com:8443": "must be on port 443",
    "https://resource.openai.azure.com:22": "must be on port 443",
    "https://127.0.0.1": "must be a public host",
    "https://127.0.0.1:443/path": "must be a public host",
    "https://localhost": "must be a public host",
    "https://169.254.169.254": "must be a public host",
    "https://10.0.0.1": "must be a public host",
    "https://[::1]": "must be a public host",
    "https://[::ffff:7f00:1]": "must be a public host",
    "https://[64:ff9b::7f00:1]": "must be a public host",
    "https://2130706433": "must be a public host",
    "https://0x7f.1": "must be a public host",
    "https://user:password@resource.openai.azure.com": "must be an address like https://host.example, with nothing but",
    "https://resource.openai.azure.com?x=y": "must be an address like https://host.example, with nothing but",
    "https://resource.openai.azure.com#x": "must be an address like https://host.example, with nothing but",
    "https://127.0.0.1\\@resource.openai.azure.com": "must be an address like https://host.example, with nothing but",
}


@pytest.mark.parametrize("url", BLOCKED)
def test_an_endpoint_is_public_or_allowed(user: User, url: str) -> None:
    status, code, sentence = told(user.put("azure_openai_endpoint", url))
    assert (status, code) == (400, "blocked_endpoint")
    assert sentence.startswith(f"The endpoint {BLOCKED[url]}")
    assert sentence.endswith(". Please fix it in your profile settings.")
    assert user.own() == {}


def test_an_endpoint_that_the_operator_allows_may_be_any(user: User, simulator: Simulator) -> None:
    assert user.put("azure_openai_endpoint", f"{simulator.url}/azure").status == 200


def test_an_endpoint_that_is_no_longer_allowed_is_not_asked(
    user: User, login_environment: Mapping[str, str], simulator: Simulator
) -> None:
    """What is kept is looked at again, with the key that would go there."""
    key = mark("key")
    user.has(azure_openai_endpoint=f"{simulator.url}/azure", azure_openai_api_key=key)
    own = {name: value for name, value in login_environment.items() if name != "ENDPOINT_ALLOWLIST"}
    changes = {"DATABASE_URL": f"sqlite:///{user.service.database}", "KEY_POLICY": "profile-first"}
    client = create_app(read_settings({**own, **changes})).test_client()
    login = {"Authorization": f"Bearer {user.token}"}
    replies = [
        client.post("/api/chat/azure", data=question("gpt-3.5-turbo"), headers=login),
        client.post("/api/profile/settings/azure_openai_endpoint/check", headers=login),
    ]
    assert replies[0].headers["X-Key-Source"] == "profile"
    for reply in replies:
        assert (reply.status_code, reply.get_json()["code"]) == (400, "blocked_endpoint")
        sentence = "The endpoint must begin with https://. Please fix it in your profile settings."
        assert reply.get_json()["message"] == sentence
    assert seen(simulator, key) == []


ANOTHER = "https://another.openai.azure.com"


def test_a_key_does_not_follow_to_another_endpoint(user: User, simulator: Simulator) -> None:
    """Who took over a session could have it sent to a host of their own, and read it there."""
    key = mark("key")
    user.has(**{ENDPOINT: f"{simulator.url}/azure", KEY: key}, **OTHERS, groq_api_key=mark("key"))
    before = user.own()
    reply = user.put(ENDPOINT, ANOTHER)
    assert (reply.status, reply.json()["keyRemoved"]) == (200, True)
    assert user.own() == {name: value for name, value in before.items() if name != KEY} | {ENDPOINT: ANOTHER}
    assert told(user.check(ENDPOINT))[:2] == (400, "missing_key")
    assert seen(simulator, key) == []


def test_a_key_that_was_first_does_not_follow_to_an_endpoint(user: User, simulator: Simulator) -> None:
    key = mark("key")
    user.has(**{KEY: key}, **OTHERS)
    reply = user.put(ENDPOINT, f"{simulator.url}/azure")
    assert (reply.status, reply.json()["keyRemoved"]) == (200, True)
    assert user.own() == {ENDPOINT: f"{simulator.url}/azure"} | OTHERS
    assert told(user.check(ENDPOINT))[:2] == (400, "missing_key")
    assert seen(simulator, key) == []


def test_a_key_goes_when_its_endpoint_does(user: User) -> None:
    user.has(**{ENDPOINT: ANOTHER, KEY: mark("key")}, **OTHERS)
    reply = user.delete(ENDPOINT)
    assert (reply.status, reply.json()["keyRemoved"]) == (200, True)
    assert user.own() == OTHERS
    assert "keyRemoved" not in user.delete(ENDPOINT).json()


def test_a_key_stays_when_its_endpoint_does(user: User) -> None:
    user.has(**{ENDPOINT: ANOTHER, KEY: mark("key")})
    for value in (ANOTHER, f" {ANOTHER}\n"):
        assert "keyRemoved" not in user.put(ENDPOINT, value).json()
    user.put(ENDPOINT, "http://refused.example")
    for name, value in OTHERS.items():
        assert "keyRemoved" not in user.put(name, value).json()
        assert "keyRemoved" not in user.delete(name).json()
    assert user.own().keys() == {KEY, ENDPOINT}
    assert user.put(KEY, mark("key")).status == 200
    assert user.own().keys() == {KEY, ENDPOINT}


def test_an_endpoint_without_a_key_is_replaced_without_a_word(user: User) -> None:
    user.has(**{ENDPOINT: ANOTHER})
    assert "keyRemoved" not in user.put(ENDPOINT, NOBODY_LISTENS).json()
    assert user.own() == {ENDPOINT: NOBODY_LISTENS}
