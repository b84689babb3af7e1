"""There is no way to name another user: one who exists and one who does not are told the same, to the byte."""

import json
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import pytest

from tests.login.users import User, coded_cookie, mark, question, seen, somebody, with_login
from tests.processes import Processes, Service, Simulator
from tests.raw import connect

KEY, ENDPOINT = "groq_api_key", "azure_openai_endpoint"
OWN_ENDPOINT = "https://of-the-victim.openai.azure.com"


@pytest.fixture(scope="module")
def service(processes: Processes, environment: Mapping[str, str], simulator: Simulator) -> Service:
    """A service in which only a profile has keys: whose key is used, is whose profile it is."""
    whole = with_login(environment, simulator)
    return processes.service({name: value for name, value in whole.items() if not name.endswith("_API_KEY")})


@pytest.fixture
def victim(service: Service) -> User:
    """Somebody with a key and an endpoint."""
    return somebody(service).has(**{KEY: mark("key"), ENDPOINT: OWN_ENDPOINT})


@pytest.fixture
def attacker(service: Service) -> User:
    """Somebody with a login of his own, and with nothing else."""
    return somebody(service)


class Request(NamedTuple):
    """What is sent, `{user}` being whom the attacker would like to be."""

    line: str
    headers: tuple[str, ...] = ()
    body: str = ""


def answer(attacker: User, request: Request, user: str) -> bytes:
    """Return all bytes of an answer, but for its date."""
    line, *headers = (text.replace("{user}", user) for text in (request.line, *request.headers))
    body = request.body.replace("{user}", user)
    fixed = ["Host: localhost", "Connection: close", "X-Request-ID: the-same-for-all"]
    if not any(header.startswith("Authorization") for header in headers):
        fixed.append(f"Authorization: Bearer {attacker.token}")
    head = [f"{line} HTTP/1.1", *fixed, f"Content-Length: {len(body)}", *headers, "", ""]
    with connect(attacker.service.port, "\r\n".join(head).encode() + body.encode()) as client:
        assert client.end() == "fin"
    return re.sub(rb"\r\nDate: [^\r]*", b"", client.received)


VALUE = json.dumps({"value": "gsk-of-the-attacker", "user": "{user}", "userId": "{user}", "user_id": "{user}"})
CHAT = json.dumps(
    {
        "chatSettings": {"model": "demo", "userId": "{user}", "user": "{user}"},
        "messages": [{"role": "user", "content": "Hello?", "user": "{user}", "user_id": "{user}"}],
        "customModelId": "{user}",
        "userId": "{user}",
        "user_id": "{user}",
        "profile": {"userId": "{user}"},
    }
)
NAMED = {
    "in a query": Request("GET /api/profile?user={user}&userId={user}&user_id={user}&id=eq.{user}"),
    "in a header": Request("GET /api/profile", ("X-User-Id: {user}", "X-User: {user}", "X-Forwarded-User: {user}")),
    "as a proxy's user": Request("GET /api/profile", ("Remote-User: {user}", "X-Remote-User: {user}", "From: {user}")),
    "in an underscore": Request("GET /api/profile", ("REMOTE_USER: {user}", "X_User_Id: {user}")),
    "in a cookie": Request("GET /api/profile", ("Cookie: user={user}; userId={user}; session={user}",)),
    "in a path": Request("GET /api/profile/{user}"),
    "in another path": Request("GET /api/users/{user}/profile"),
    "in a setting's place": Request("PUT /api/profile/settings/{user}", body=VALUE),
    "before a setting": Request(f"PUT /api/profile/{{user}}/settings/{KEY}", body=VALUE),
    "behind a setting": Request(f"DELETE /api/profile/settings/{KEY}/{{user}}"),
    "with a setting": Request(f"DELETE /api/profile/settings/{{user}}.{KEY}"),
    "in a value's body": Request(f"PUT /api/profile/settings/{KEY}", body=VALUE),
    "in a removal's body": Request(f"DELETE /api/profile/settings/{KEY}", body=VALUE),
    "in a removal's query": Request(f"DELETE /api/profile/settings/{KEY}?user={{user}}"),
    "in a check": Request(f"POST /api/profile/settings/{KEY}/check?user={{user}}", body=VALUE),
    "in a chat": Request("POST /api/chat/groq", body=CHAT),
    "in a chat's query": Request("POST /api/chat/groq?user={user}", ("X-User-Id: {user}",), CHAT),
    "as a credential": Request("GET /api/profile", ("Authorization: Bearer {user}",)),
    "as a user and password": Request("GET /api/profile", ("Authorization: Basic {user}",)),
    "up a path": Request("GET /api/profile/../users/{user}"),
    "up an encoded path": Request("GET /api/profile/%2e%2e/{user}"),
    "up a path of encoded slashes": Request("GET /api/profile%2f..%2f{user}"),
    "up a path twice encoded": Request("GET /api/profile/%252e%252e/{user}"),
    "up a setting's path": Request("PUT /api/profile/settings/..%2f..%2f{user}%2fsettings%2f" + KEY, body=VALUE),
    "in parameters of a path": Request("GET /api/profile;user={user}"),
    "behind a fragment": Request("GET /api/profile#{user}"),
    "behind a NUL": Request("GET /api/profile%00{user}"),
    "behind a backslash": Request("GET /api/profile\\..\\{user}"),
    "with a method in a header": Request("GET /api/profile?user={user}", ("X-HTTP-Method-Override: PUT",)),
    "with another address in a header": Request("GET /api/profile", ("X-Original-URL: /api/profile/{user}",)),
}


@pytest.mark.parametrize("request_", NAMED.values(), ids=NAMED)
def test_another_user_and_an_unknown_one_look_the_same(
    service: Service, simulator: Simulator, victim: User, attacker: User, request_: Request
) -> None:
    key_end = victim.own()[KEY]
    nowhere = mark("user")
    theirs, nobodys = answer(attacker, request_, victim.id), answer(attacker, request_, nowhere)
    assert theirs.replace(victim.id.encode(), b"X") == nobodys.replace(nowhere.encode(), b"X")
    assert len(theirs) == len(nobodys)
    for shown in (victim.id, key_end, OWN_ENDPOINT):
        assert shown.encode() not in theirs
    assert victim.own() == {KEY: key_end, ENDPOINT: OWN_ENDPOINT}
    assert all(victim.id not in json.dumps(request) for request in simulator.requests()[-2:])


PATHS = {
    "as it is": ("/api/profile", 200),
    "a slash more": ("//api/profile", 200),
    "an encoded slash": ("/api%2fprofile", 200),
    "an encoded letter": ("/api/%70rofile", 200),
    "a slash behind": ("/api/profile/", 404),
    "a slash between": ("/api//profile", 404),
    "a dot": ("/api/./profile", 404),
    "up and down": ("/api/profile/../profile", 404),
    "capitals": ("/API/profile", 404),
    "a whole address": ("http://elsewhere.example/api/profile/x", 404),
}


@pytest.mark.parametrize(("path", "status"), PATHS.values(), ids=PATHS)
def test_any_form_of_an_address_leads_to_oneself_or_nowhere(attacker: User, path: str, status: int) -> None:
    """WSGI decodes an address once, and the answer is then the same, with the same rule for pages of other origins."""
    found = answer(attacker, Request(f"GET {path}"), "x")
    assert found.startswith(b"HTTP/1.1 %d " % status)
    assert (f'"user":"{attacker.id}"'.encode() in found) == (status == 200)
    assert (b"\r\nVary: Origin\r\n" in found) == (path != "/API/profile")


def test_claims_of_a_token_name_its_user_and_no_other(victim: User, attacker: User) -> None:
    names = ("user", "user_id", "userId", "email", "preferred_username", "act", "azp", "client_id", "uid")
    claims: dict[str, object] = dict.fromkeys(names, victim.id)
    claiming = somebody(attacker.service, attacker.id, **claims)
    assert claiming.own() == {}


ALIKE: dict[str, Callable[[str], str]] = {
    "in capitals": str.upper,
    "with a letter more": lambda user: user + "0",
    "with a letter less": lambda user: user[:-1],
    "with a wildcard": lambda user: user[:-1] + "%",
    "with another wildcard": lambda user: user[:-1] + "_",
    "with a wide letter": lambda user: "\uff55" + user[1:],
    "with a letter and its accent": lambda user: user + "e\u0301",
}


@pytest.mark.parametrize("alike", ALIKE.values(), ids=ALIKE)
def test_users_whose_names_look_alike_are_others(victim: User, alike: Callable[[str], str]) -> None:
    other = somebody(victim.service, alike(victim.id))
    assert other.own() == {}
    assert other.delete(KEY).status == 200
    assert other.put(ENDPOINT, "https://of-another.openai.azure.com").status == 200
    assert victim.own()[ENDPOINT] == OWN_ENDPOINT
    assert KEY in victim.own()


def test_of_a_token_and_a_cookie_the_token_says_who(victim: User, attacker: User, simulator: Simulator) -> None:
    key = mark("key")
    attacker.has(**{KEY: key})
    text = mark()
    reply = attacker.chat("groq", text=text, cookie=coded_cookie(victim.token), sec_fetch_site="same-origin")
    assert reply.status == 200
    (request,) = seen(simulator, text)
    assert dict(request["headers"])["authorization"] == f"Bearer {key}"


def test_a_chat_is_asked_with_the_key_of_who_asks(victim: User, attacker: User, simulator: Simulator) -> None:
    """By turns, over the provider's same connections."""
    keys = [(user, mark("key")) for user in (victim, attacker)]
    for user, key in keys:
        user.has(**{KEY: key})
    for _ in range(5):
        for user, key in keys:
            text = mark()
            assert user.ask("/api/chat/groq", question(text=text), method="POST").status == 200
            (request,) = seen(simulator, text)
            assert dict(request["headers"])["authorization"] == f"Bearer {key}"
