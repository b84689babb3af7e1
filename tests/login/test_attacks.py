"""Credentials that are none, and texts that mean something to a database: what they are told, and what they get."""

import json
import sqlite3
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from urllib.parse import quote

import pytest

from app.failure import Code
from app.providers import PROVIDERS
from tests.client import Reply, ask
from tests.login.identity import token
from tests.login.users import User, invoke, mark, question, refusal, seen, somebody
from tests.processes import Service, Simulator

WRONG = {
    "nothing": "",
    "a scheme alone": "Bearer",
    "a scheme and spaces": "Bearer    ",
    "garbage": "Bearer garbage",
    "a token that was never made": f"Bearer sluice_{'A' * 43}",
    "one that lacks a character": "Bearer {short}",
    "one with a character more": "Bearer {token}A",
    "one with another last character": "Bearer {other}",
    "one with another prefix": "Bearer sk-{rest}",
    "one without its prefix": "Bearer {rest}",
    "one with its prefix in capitals": "Bearer SLUICE_{rest}",
    "one in quotes": 'Bearer "{token}"',
    "one with a word behind it": "Bearer {token} more",
    "one with a NUL written out": "Bearer {token}%00",
    "two with a comma": "Bearer {token},{token}",
    "two schemes": "Bearer Bearer {token}",
    "a tab for a space": "Bearer\t{token}",
    "no scheme": "{token}",
    "Basic": "Basic {basic}",
    "Token": "Token {token}",
    "Digest": 'Digest username="alice", response="{token}"',
    "the id of one": "Bearer {id}",
    "the id of one, dressed up": "Bearer sluice_{id}",
    "what is stored of one": "Bearer {hash}",
    "what is stored of one, dressed up": "Bearer sluice_{hash}",
    "a JWT, where none is a login": f"Bearer {token(sub='alice')}",
    "letters that are not ASCII": "Bearer sluice_üöä{token}",
    "a very long one": f"Bearer sluice_{'A' * 8000}",
    "SQL": "Bearer sluice_' OR '1'='1",
}


@pytest.mark.parametrize("value", WRONG.values(), ids=WRONG)
def test_every_wrong_credential_gets_the_same_answer_at_once(
    tokens: Service, alice_and_id: tuple[User, str], unauthorized: bytes, value: str
) -> None:
    good, name = alice_and_id[0].token, alice_and_id[1]
    filled = value.format(
        token=good,
        short=good[:-1],
        other=good[:-1] + ("A" if good[-1] != "A" else "B"),
        rest=good.removeprefix("sluice_"),
        basic=b64encode(f"alice:{good}".encode()).decode(),
        id=name,
        hash=sha256(good.encode()).hexdigest(),
    )
    assert refusal(tokens, f"Authorization: {filled}".encode()) == unauthorized


ELSEWHERE = {
    "another header": "X-Api-Key: {}",
    "a provider's header": "api-key: {}",
    "the proxy's header": "Proxy-Authorization: Bearer {}",
    "a header that a server may take for it": "X_Authorization: Bearer {}",
    "an underscore": "Authorization_: Bearer {}",
    "a cookie": "Cookie: token={0}; sluice={0}; Authorization=Bearer {0}; sb-x-auth-token={0}",
}


@pytest.mark.parametrize("header", ELSEWHERE.values(), ids=ELSEWHERE)
def test_there_is_one_place_for_a_credential(tokens: Service, alice: User, unauthorized: bytes, header: str) -> None:
    assert refusal(tokens, header.format(alice.token).encode()) == unauthorized


@pytest.mark.parametrize("name", ["token", "access_token", "authorization", "Authorization"])
def test_an_address_is_no_place_for_a_credential(tokens: Service, alice: User, unauthorized: bytes, name: str) -> None:
    assert refusal(tokens, path=f"/api/chat/openai?{name}={alice.token}") == unauthorized


def test_two_credentials_are_refused(tokens: Service, alice: User, bob: User, unauthorized: bytes) -> None:
    """Two servers could take each another one."""
    good, other = f"Bearer {alice.token}", f"Bearer {bob.token}"
    for pair in ((good, good), (good, other), (good, "Bearer x"), ("Bearer x", good), (good, ""), ("", good)):
        assert refusal(tokens, *(f"Authorization: {value}".encode() for value in pair)) == unauthorized


def test_every_route_but_page_and_health_needs_a_login(tokens: Service, alice: User, simulator: Simulator) -> None:
    routes = {
        "GET": ["/api/keys", "/api/profile"],
        "PUT": ["/api/profile/settings/groq_api_key", "/api/profile/settings/nothing"],
        "DELETE": ["/api/profile/settings/groq_api_key", "/api/profile/settings/nothing"],
        "POST": [
            *(f"/api/chat/{name}" for name in ("openai", "azure", "groq", "mistral")),
            *(f"/api/profile/settings/{name}/check" for name in ("groq_api_key", "nothing")),
        ],
    }
    text = mark()
    for method, paths in routes.items():
        for path in paths:
            assert ask(tokens, path, question(text=text), method=method).json()["code"] == "unauth"
    assert seen(simulator, text) == []
    assert {ask(tokens, path, None, method="GET").status for path in ("/", "/healthz", "/readyz")} == {200}


METACHARACTERS = {
    "a condition": "' OR 1=1--",
    "a condition in other quotes": '" OR ""="',
    "a statement": "'; DROP TABLE profiles; --",
    "a statement in other quotes": '"; DROP TABLE settings; --',
    "a statement in brackets": "'); DELETE FROM tokens; --",
    "a question": "' UNION SELECT hash FROM tokens --",
    "a comment": "/**/--#",
    "anything": "%",
    "any letter": "_____",
    "an escape": "\\",
    "an escaped quote": "\\' OR 1=1--",
    "an escaped NUL": "\\0",
    "quotes of print": "\u2018 OR \u20191\u2019=\u20191",
    "a quote that some take for one": "\u02bc OR 1=1--",
    "a wide quote": "\uff07 OR 1=1--",
    "parameters": ":user ? %s %(user)s $1 {user}",
    "a template": "{{7*7}}${7*7}",
}
BYTES = {**METACHARACTERS, "a NUL": "a\0b", "half a character": "\udcff", "two lines": "a\r\nb"}
HEADERS = ["Accept", "Authorization", "Cookie", "Origin", "Referer", "Sec-Fetch-Site", "User-Agent", "X-Request-ID"]
SETTINGS = {setting.name: setting.is_secret for one in PROVIDERS.values() for setting in one.own_fields}


def rows(service: Service, user: str) -> tuple[object, ...]:
    """Return all that the database has of a user, and of all what only a statement would change."""
    with closing(sqlite3.connect(service.database)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        tables = database.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
        own = database.execute("SELECT * FROM settings WHERE user_id = ?", (user,)).fetchall()
        return tables, own, database.execute("SELECT id, hash, user_id, revoked_at FROM tokens").fetchall()


@pytest.fixture
def victim(login: Service) -> Iterator[User]:
    """Somebody whose profile is as it was when all is over."""
    user = somebody(login).has(groq_api_key=mark("key"), azure_openai_35_turbo_id="mine")
    before = rows(login, user.id)
    yield user
    assert rows(login, user.id) == before
    assert somebody(login).own() == {}


def survived(reply: Reply) -> int:
    """A refusal is one of those that there are, not a fault of ours; return its status."""
    assert reply.status < 500, reply.body
    if reply.status >= 400:
        assert reply.json()["code"] in set(Code) - {"internal"}
        assert "sql" not in reply.body.decode().lower()
    return reply.status


@pytest.mark.parametrize("text", METACHARACTERS.values(), ids=METACHARACTERS)
def test_a_user_name_is_only_a_name(login: Service, victim: User, text: str) -> None:
    """Its profile is its own, and nobody else's answers to a name that stands for many."""
    user = somebody(login, text)
    assert user.own() == {}
    assert user.has(mistral_api_key=mark("key")).own().keys() == {"mistral_api_key"}
    assert user.chat().status == 200
    assert user.delete("groq_api_key").status == 200
    assert user.delete("mistral_api_key").status == 200
    assert user.own() == {}


@pytest.mark.parametrize("text", BYTES.values(), ids=BYTES)
def test_a_part_of_an_address_is_only_a_part(login: Service, victim: User, text: str) -> None:
    part = quote(text.encode("utf-8", "surrogateescape"), safe="")
    for method, path in (
        ("GET", f"/api/{part}"),
        ("GET", f"/api/profile/{part}"),
        ("GET", f"/static/{part}"),
        ("PUT", f"/api/profile/settings/{part}"),
        ("DELETE", f"/api/profile/settings/{part}"),
        ("POST", f"/api/profile/settings/{part}/check"),
        ("POST", f"/api/chat/{part}"),
    ):
        assert survived(victim.ask(path, b"{}", method=method)) == 404
    assert survived(victim.ask(f"/api/profile?user={part}&{part}={part}")) == 200


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_is_only_a_header(login: Service, victim: User, header: str) -> None:
    for text in BYTES.values():
        value = text.encode("utf-8", "surrogateescape").replace(b"\r\n", b" ").decode("latin-1")
        for given in (value, f"Bearer {value}", f"sb-x-auth-token={value}", f"Bearer sluice_{value}"):
            sent = {"Authorization": f"Bearer {victim.token}", header: given}
            survived(ask(login, "/api/chat/openai", question(), **sent))


@pytest.mark.parametrize("text", METACHARACTERS.values(), ids=METACHARACTERS)
def test_a_field_of_a_chat_is_only_a_field(victim: User, text: str) -> None:
    message = {"role": "user", "content": text}
    good = {"chatSettings": {"model": "demo"}, "messages": [message]}
    for changes in (
        {},
        {"chatSettings": {"model": text}},
        {"chatSettings": {"model": "demo", "temperature": text}},
        {"chatSettings": {"model": "demo", text: text, "userId": text}, text: text},
        {"messages": [{**message, "role": text}]},
        {"messages": [{**message, text: text, "name": text}]},
        {"customModelId": text, "userId": text},
        {"chatSettings": text},
        {"messages": text},
    ):
        body = json.dumps(good | changes).encode()
        for provider in PROVIDERS:
            survived(victim.ask(f"/api/chat/{provider}", body, method="POST"))


@pytest.mark.parametrize("name", SETTINGS)
def test_the_value_of_a_setting_is_only_a_value(login: Service, victim: User, name: str) -> None:
    """It is refused, or it comes back as it is."""
    user = somebody(login)
    for text in [*BYTES.values(), {"$ne": 1}, ["' OR 1=1--"]]:
        reply = user.put(name, text)
        if survived(reply) == 200:
            assert isinstance(text, str)
            assert user.own() == {name: text if not SETTINGS[name] else reply.json()["lastFour"]}
            assert user.delete(name).status == 200


def test_an_argument_of_a_command_is_only_an_argument(tokens: Service, alice: User) -> None:
    for text in list(METACHARACTERS.values())[:5]:
        assert invoke(tokens, "token", "revoke", "--", text).exit_code == 1
    assert alice.ask("/api/profile").status == 200
