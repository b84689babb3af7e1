"""Secrets that are sent to the service, in the right way and in every wrong one."""

import json
from collections.abc import Callable

import pytest

from tests.canaries.house import GUEST, OWNER, House

BODIES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda key: b'{"value": "' + key,
    "twice": lambda key: b'{"value": "%b", "value": "%b"}' % (key, key),
    "another name": lambda key: b'{"%b": "x", "valeu": "%b"}' % (key, key),
    "a list": lambda key: b'["%b"]' % key,
    "a text": lambda key: b'"%b"' % key,
    "no JSON": lambda key: key,
    "a value that is an object": lambda key: b'{"value": {"%b": "%b"}}' % (key, key),
    "a value that is a list": lambda key: b'{"value": ["%b"]}' % key,
    "NaN": lambda key: b'{"value": "%b", "more": NaN}' % key,
    "no UTF-8": lambda key: b'{"value": "%b\xff"}' % key,
    "two lines": lambda key: rb'{"value": "%b\n%b"}' % (key, key),
    "two words": lambda key: b'{"value": "Bearer %b"}' % key,
    "not ASCII": lambda key: '{"value": "é'.encode() + key + b'"}',
    "too long": lambda key: b'{"value": "%b"}' % (key * 20),
    "too deep": lambda key: b'{"value": "%b", "more": ' % key + b"[" * 5000,
    "a form": lambda key: b"value=" + key,
}
"""What a client might send in place of a setting's value."""

HEADERS = [
    "Content-Type: multipart/form-data; boundary=x",
    "Content-Encoding: gzip",
    "Content-Length: 99999999",
    "Content-Length: 20",
    "Transfer-Encoding: chunked",
]
"""What makes a good body a bad one; the last three leave some of it for the next request's line."""

ADDRESSES = [
    "http://{}.example",
    "https://{}@a.example",
    "https://a.example:{}",
    "https://127.0.0.1/{}",
    "{}://a",
    "{}",
]


@pytest.mark.parametrize("wrong", BODIES)
def test_a_body_that_is_wrong_is_not_shown(house: House, wrong: str) -> None:
    for name in ("openai_api_key", "mistral_api_key", "openai_organization_id", "azure_openai_deployments"):
        secret = house.add(f"{wrong} for {name}")
        seen = house.ask("PUT", f"/api/profile/settings/{name}", BODIES[wrong](secret.encode()))
        assert (seen.status, seen.json()["code"]) == (400, "bad_body")


@pytest.mark.parametrize("header", HEADERS)
def test_a_body_under_a_wrong_header_is_not_shown(house: House, header: str) -> None:
    secret = house.add(f"under {header}")
    body = json.dumps({"more": "a" * 40, "value": secret}).encode()
    lines = ["PUT /api/profile/settings/groq_api_key HTTP/1.1", "Host: localhost", header]
    lines += ["Connection: close"] * header.endswith("99999999")
    lines += [f"Content-Length: {len(body)}"] * (not header.startswith(("Content-Length", "Transfer")))
    seen = house.send("\r\n".join([*lines, f"Authorization: Bearer {house.logins[OWNER]}", "", ""]).encode() + body)
    assert seen.json()["code"] in ("bad_type", "too_large", "bad_body", "body_timeout")


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_endpoint_that_is_refused_is_not_shown(house: House, address: str) -> None:
    secret = house.add(f"in {address}").lower()
    seen = house.put("azure_openai_endpoint", address.format(secret))
    assert (seen.status, seen.json()["code"]) in ((400, "blocked_endpoint"), (400, "bad_body"))


@pytest.mark.parametrize(
    "place",
    [
        "PUT /api/profile/settings/{}",
        "DELETE /api/profile/settings/{}",
        "POST /api/profile/settings/{}/check",
        "GET /api/profile?key={}",
        "GET /{}",
        "GET /static/{}",
        "POST /api/chat/{}",
        "POST /api/chat/openai?key={}",
        "PATCH /api/profile?key={}",
        "{} /api/profile",
    ],
)
def test_a_secret_in_an_address_is_not_shown(house: House, place: str) -> None:
    secret = house.add(f"in {place}")
    method, path = place.format(secret).split()
    house.ask(method, path, b"{}" if method in ("PUT", "POST") else b"")


def test_of_a_key_its_owner_is_shown_the_end_and_others_nothing(house: House) -> None:
    key = house.add("a new key", "gsk_")
    assert house.put("groq_api_key", key).json()["lastFour"] == key[-4:]
    shown = {setting["name"]: setting for setting in house.ask("GET", "/api/profile").json()["settings"]}
    assert shown["groq_api_key"]["lastFour"] == key[-4:]
    assert not any(setting["value"] for setting in shown.values() if setting["isKey"])
    assert house.put("mistral_api_key", short := house.add("a short key")[:11]).json()["lastFour"] is None
    assert short.encode() not in house.ask("GET", "/api/profile").raw
    theirs = house.ask("GET", "/api/profile", user=GUEST).json()["settings"]
    assert [setting["lastFour"] for setting in theirs] == [None] * len(theirs)
    for name in ("groq_api_key", "mistral_api_key"):
        house.ask("DELETE", f"/api/profile/settings/{name}")
        assert house.put(name, house.canaries[name].value).status == 200


@pytest.mark.parametrize("user", [OWNER, GUEST, ""])
def test_no_page_shows_a_secret(house: House, user: str) -> None:
    for path in ("/", "/static/page.js", "/healthz", "/readyz", "/api/keys", "/api/profile", "/metrics", "/.env"):
        assert house.ask("GET", path, user=user).status in (200, 401, 404)
