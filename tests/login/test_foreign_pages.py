"""Requests that a page of another site has a browser send, with its user's cookie.

Such a page sets no header of its own, and sends a body of any text: nothing asks us before.
"""

import json

import pytest

from tests.client import Reply, ask
from tests.login.identity import token
from tests.login.users import ORIGIN, User, coded_cookie, mark, profiles, question, seen, somebody
from tests.processes import Service, Simulator

FOREIGN = {
    "another site, as it says": {"origin": "https://evil.example", "sec_fetch_site": "cross-site"},
    "another site, to an old browser": {"origin": "https://evil.example"},
    "a page that hides where it is from": {"origin": "null"},
    "a page that says nothing": {},
    "a page opened by hand": {"sec_fetch_site": "none"},
    "another port, to an old browser": {"origin": "http://127.0.0.1:1"},
    "a name that begins as ours": {"origin": "http://{host}.evil.example"},
    "a name that ends as ours": {"origin": "http://evil{host}"},
    "our name as a user": {"origin": "http://{host}@evil.example"},
    "another site that names ours": {"origin": "http://{host}", "sec_fetch_site": "cross-site"},
    "a word that no browser says": {"origin": "http://{host}", "sec_fetch_site": "Same-Origin"},
    "two words": {"origin": "http://{host}", "sec_fetch_site": "same-origin, cross-site"},
    "an allowed origin with more": {"origin": f"{ORIGIN}.evil.example"},
    "an allowed origin's other scheme": {"origin": "http://app.example"},
    "a referrer": {"referer": "http://{host}/"},
    "an origin that is none": {"origin": "http://["},
}
OWN_SITE = {
    "our page": {"origin": "http://{host}", "sec_fetch_site": "same-origin"},
    "our page, to an old browser": {"origin": "http://{host}"},
    "our page behind TLS": {"origin": "https://{host}"},
    "a page of the same site": {"origin": "http://chat.example", "sec_fetch_site": "same-site"},
    "an allowed page": {"origin": ORIGIN, "sec_fetch_site": "cross-site"},
    "an allowed page, to an old browser": {"origin": ORIGIN},
}
KEY = "groq_api_key"
CHANGING = [("PUT", f"/api/profile/settings/{KEY}"), ("DELETE", f"/api/profile/settings/{KEY}")]


def by_cookie(user: User, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Reply:
    """Send what a browser sends for a page, with the user's cookie, and no other credential."""
    sent = {name: value.format(host=f"127.0.0.1:{user.service.port}") for name, value in headers.items()}
    return ask(user.service, path, body, method=method, cookie=coded_cookie(user.token), **sent)


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_page_asks_and_changes_nothing(login: Service, simulator: Simulator, headers: dict[str, str]) -> None:
    key, text = mark("key"), mark()
    victim = somebody(login).has(**{KEY: key})
    tries = [
        ("POST", "/api/chat/openai", question(text=text)),
        ("POST", f"/api/profile/settings/{KEY}/check", b""),
        *((method, path, json.dumps({"value": "the-attacker-s"}).encode()) for method, path in CHANGING),
    ]
    for method, path, body in tries:
        reply = by_cookie(victim, method, path, body, headers)
        assert (reply.status, reply.json()["code"]) == (403, "forbidden_origin")
        assert reply.headers["Access-Control-Allow-Origin"] is None
    assert seen(simulator, text) + seen(simulator, key) == []
    assert victim.own() == {KEY: key[-4:]}


@pytest.mark.parametrize("headers", OWN_SITE.values(), ids=OWN_SITE)
def test_a_page_of_the_same_site_may(login: Service, simulator: Simulator, headers: dict[str, str]) -> None:
    key, text = mark("key"), mark()
    user = somebody(login)
    assert by_cookie(user, "PUT", CHANGING[0][1], json.dumps({"value": key}).encode(), headers).status == 200
    assert by_cookie(user, "POST", f"/api/profile/settings/{KEY}/check", b"", headers).json() == {"works": True}
    assert by_cookie(user, "POST", "/api/chat/openai", question(text=text), headers).status == 200
    assert len(seen(simulator, text)) == 1
    assert by_cookie(user, "DELETE", CHANGING[1][1], None, headers).status == 200
    assert user.own() == {}


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
def test_a_header_that_no_foreign_page_can_send_is_enough(login: Service, headers: dict[str, str]) -> None:
    user = somebody(login)
    sent = {name: value.format(host="127.0.0.1") for name, value in headers.items()}
    assert user.chat(**sent).status == 200


def test_a_foreign_page_cannot_tell_whose_cookie_is_good(login: Service) -> None:
    """Nor is a wrong cookie told of the origin: whoever is nobody is told that."""
    wrong = User(login, "x", token(aud="another"))
    reply = by_cookie(wrong, "POST", "/api/chat/openai", question(), FOREIGN["a page that says nothing"])
    assert (reply.status, reply.json()["code"]) == (401, "unauth")


def test_a_cross_site_login_makes_no_profile(login: Service) -> None:
    user = somebody(login)
    assert by_cookie(user, "POST", "/api/chat/openai", question(), {"sec_fetch_site": "cross-site"}).status == 403
    assert user.id not in profiles(login)
