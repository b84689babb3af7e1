"""Who is let in, and as whom: with tokens of ours, with an identity provider's, with its cookie."""

import http.client
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from urllib.parse import quote

import pytest

from app.simulator import ANSWER
from tests.client import Reply, ask, connected, read
from tests.faults.kernel import worker_of
from tests.login.conftest import published
from tests.login.identity import (
    Sign,
    answer,
    ec_key,
    ecdsa,
    ed_key,
    eddsa,
    identity_provider,
    rs256,
    rsa_key,
    token,
)
from tests.login.users import (
    User,
    command,
    mark,
    profiles,
    question,
    seen,
    somebody,
    token_id,
    widened,
    with_login,
)
from tests.processes import Processes, Service, Simulator, wait_for

KEYS: dict[str, Callable[[], Sign]] = {
    "RS256": lambda: rs256(rsa_key()),
    "ES256": lambda: ecdsa(ec_key()),
    "EdDSA": lambda: eddsa(ed_key()),
}
"""What signs for each algorithm that has public keys."""

SPELLINGS = {
    "as usual": ("Authorization", "Bearer {}"),
    "a header in small letters": ("authorization", "Bearer {}"),
    "a header in capitals": ("AUTHORIZATION", "Bearer {}"),
    "a scheme in small letters": ("Authorization", "bearer {}"),
    "a scheme in capitals": ("Authorization", "BEARER {}"),
    "spaces around": ("Authorization", " Bearer   {} "),
}


@contextmanager
def a_line_to_each_worker(service: Service) -> Iterator[list[http.client.HTTPConnection]]:
    """Open connections until every worker has accepted one."""
    with ExitStack() as stack:
        found: dict[int, http.client.HTTPConnection] = {}
        deadline = time.monotonic() + 20
        while len(found) < 2 and time.monotonic() < deadline:
            line = stack.enter_context(connected(service))
            line.request("GET", "/healthz")
            read(line.getresponse())
            worker = worker_of(service, line.sock.getsockname()[1])
            assert worker is not None
            found.setdefault(worker, line)
        assert len(found) == 2
        yield list(found.values())


def status_over(line: http.client.HTTPConnection, user: User | None) -> int:
    """Ask who one is, over a connection that stays open."""
    line.request("GET", "/api/profile", headers={"Authorization": f"Bearer {user.token}"} if user else {})
    return read(line.getresponse()).status


def test_a_token_lives_and_ends_on_every_worker(
    processes: Processes, environment: Mapping[str, str], simulator: Simulator
) -> None:
    """Without one, this machine's user is served. There being one ends that, and its own end does not bring it back."""
    service = processes.fresh_service({**widened(environment, simulator), "WEB_CONCURRENCY": "2"})
    with a_line_to_each_worker(service) as lines:
        assert [status_over(line, None) for line in lines] == [200, 200]
        done = command(service, "token", "create", "--user", "carol")
        carol, name = User(service, "carol", done.stdout.strip()), token_id(done.stderr)
        wait_for(lambda: [status_over(line, None) for line in lines] == [401, 401], 10)
        assert [status_over(line, carol) for line in lines] == [200, 200]
        assert command(service, "token", "revoke", name).returncode == 0
        wait_for(lambda: [status_over(line, carol) for line in lines] == [401, 401], 10)
        assert [status_over(line, None) for line in lines] == [401, 401]


@pytest.mark.parametrize(("header", "value"), SPELLINGS.values(), ids=SPELLINGS)
def test_a_token_is_a_login_however_its_header_is_spelled(
    tokens: Service, alice: User, header: str, value: str
) -> None:
    reply = ask(tokens, "/api/chat/openai", question(), **{header: value.format(alice.token)})
    assert (reply.status, reply.body.decode()) == (200, ANSWER)


def test_the_log_says_who_asked_and_never_the_token(tokens: Service, alice: User) -> None:
    request_id = mark("request")
    assert alice.chat(x_request_id=request_id).status == 200
    line = wait_for(lambda: [one for one in tokens.log.read_text().splitlines() if request_id in one])[-1]
    assert json.loads(line)["user"] == "alice"
    assert alice.token.removeprefix("sluice_") not in tokens.log.read_text()
    assert alice.token.encode() not in tokens.database.read_bytes()


def test_two_users_have_a_profile_each(alice: User, bob: User, simulator: Simulator) -> None:
    """Neither sees, changes or removes what is the other's."""
    key, other = mark("key"), mark("key")
    alice.has(mistral_api_key=key)
    assert bob.own() == {}
    bob.has(mistral_api_key=other)
    assert alice.own() == {"mistral_api_key": key[-4:]}
    assert alice.check("mistral_api_key").status == 200
    assert len(seen(simulator, key)) == 1
    assert seen(simulator, other) == []
    assert bob.delete("mistral_api_key").status == 200
    assert bob.own() == {}
    assert alice.own() == {"mistral_api_key": key[-4:]}
    assert alice.delete("mistral_api_key").status == 200


def test_a_first_valid_login_makes_an_empty_profile(login: Service) -> None:
    wrong = User(login, mark("user"), "")
    for forged in (token(sub=wrong.id, aud="another"), token(sub=wrong.id)[:-2]):
        assert User(login, wrong.id, forged).ask("/api/profile").status == 401
    assert wrong.id not in profiles(login)
    user = somebody(login)
    assert user.ask("/api/keys").status == 200
    assert user.id in profiles(login)
    assert user.own() == {}


def test_a_first_login_may_be_a_chat(login: Service, simulator: Simulator) -> None:
    user, text = somebody(login), mark()
    reply = user.chat(text=text, accept="text/event-stream")
    assert (reply.status, reply.events()[-1]) == (200, "[DONE]")
    assert len(seen(simulator, text)) == 1
    assert user.id in profiles(login)


@pytest.mark.parametrize("claims", [{"aud": ["other", "authenticated"]}, {"nbf": 0, "jti": "x"}, {"iat": ...}])
def test_a_token_may_say_more_than_it_must(login: Service, claims: dict[str, object]) -> None:
    user = mark("user")
    assert somebody(login, user, **claims).ask("/api/profile").json()["user"] == user


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_published_key_signs_logins_as_the_secret_does(federated: Service, algorithm: str) -> None:
    sub = mark("user")
    user = User(federated, sub, token(KEYS[algorithm](), algorithm, algorithm, sub=sub))
    assert user.own() == {}
    assert user.chat().body.decode() == ANSWER
    assert somebody(federated, sub).own() == {}


def test_a_provider_that_is_down_at_start_needs_no_restart(
    processes: Processes, environment: Mapping[str, str], simulator: Simulator
) -> None:
    """And when it is down again, those it has published keys for are let in as before."""
    settings = with_login(environment, simulator)
    del settings["AUTH_JWT_SECRET"]
    with identity_provider() as issuer:
        issuer.reply = lambda request: answer(request, b"", 503)
        service = processes.fresh_service({**settings, "AUTH_JWKS_URL": issuer.url})
        user = User(service, "dave", token(rs256(rsa_key()), "RS256", "RS256", sub="dave"))
        reply = user.ask("/api/chat/openai", question(), method="POST")
        assert (reply.status, reply.json()["code"], reply.headers["Retry-After"]) == (503, "auth_unavailable", "5")
        assert User(service, "dave", "not-a-token").ask("/api/profile").status == 401
        issuer.published, issuer.reply = published(), issuer.publish
        wait_for(lambda: user.ask("/api/profile").status == 200, 10)
        issuer.reply = lambda request: answer(request, b"", 503)
        again = User(service, "erin", token(ecdsa(ec_key()), "ES256", "ES256", sub="erin"))
        assert again.chat().status == 200


def session(access_token: str, **more: object) -> str:
    """Write a session as Supabase keeps it."""
    user = {"id": "x", "email": "person@example.com"}
    return json.dumps({"access_token": access_token, "token_type": "bearer", "user": user, **more})


def coded(text: str) -> str:
    """Write it as @supabase/ssr does today."""
    return "base64-" + urlsafe_b64encode(text.encode()).decode().rstrip("=")


def parts(value: str, size: int = 3180) -> str:
    """Cut a value as @supabase/ssr does."""
    pieces = [value[start : start + size] for start in range(0, len(value), size)]
    assert len(pieces) > 1
    return "; ".join(f"sb-project-auth-token.{number}={piece}" for number, piece in enumerate(pieces))


COOKIES: dict[str, Callable[[str], str]] = {
    "whole": lambda token: f"sb-project-auth-token={quote(session(token))}",
    "whole, among others": lambda token: f"a=b; sb-project-auth-token={quote(session(token))}; theme=dark",
    "base64": lambda token: f"sb-project-auth-token={coded(session(token))}",
    "in parts": lambda token: parts(quote(session(token, note="ü" * 600))),
    "base64 in parts": lambda token: parts(coded(session(token, note="ü" * 400))),
    "a list, as before": lambda token: f"sb-project-auth-token={quote(json.dumps([token, 'refresh', None]))}",
    "behind one that has ended": lambda token: "; ".join(
        f"sb-{name}-auth-token={coded(session(value))}" for name, value in (("old", token[:-5]), ("new", token))
    ),
}


@pytest.mark.parametrize("cookie", COOKIES.values(), ids=COOKIES)
def test_the_cookie_of_a_supabase_session_is_a_login(
    login: Service, simulator: Simulator, cookie: Callable[[str], str]
) -> None:
    user, text = somebody(login), mark()
    sent = {"cookie": cookie(user.token), "sec_fetch_site": "same-origin"}
    assert with_cookie(login, "/api/profile", **sent).json()["user"] == user.id
    reply = ask(login, "/api/chat/openai", question(text=text), **sent)
    assert (reply.status, reply.body.decode()) == (200, ANSWER)
    (request,) = seen(simulator, text)
    assert "cookie" not in dict(request["headers"])


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "sb-project-auth-token=",
        "sb-project-auth-token=base64-%%%",
        "sb-project-auth-token=" + quote(json.dumps({"access_token": 7})),
        "sb-project-auth-token=" + quote(json.dumps([None])),
        "sb-project-auth-token=" + "[" * 4000,
        "auth-token=x; sb-auth-token=x; access_token=x",
    ],
)
def test_a_cookie_without_a_session_is_refused(login: Service, cookie: str) -> None:
    assert with_cookie(login, "/api/profile", cookie=cookie).json()["code"] == "unauth"


def test_the_sessions_of_two_users_are_refused(login: Service) -> None:
    """A page of a neighbour's on the same site can add one of its own, and would read what is then asked."""
    alice, bob = somebody(login), somebody(login)
    pairs = {(alice.token, bob.token): 401, (bob.token, alice.token): 401, (alice.token, alice.token): 200}
    for pair, status in pairs.items():
        cookie = "; ".join(f"sb-{name}-auth-token={coded(session(one))}" for name, one in zip("ab", pair, strict=True))
        assert with_cookie(login, "/api/profile", cookie=cookie).status == status


def test_parts_with_a_gap_are_no_session(login: Service) -> None:
    cookie = COOKIES["base64 in parts"](somebody(login).token)
    assert with_cookie(login, "/api/profile", cookie=cookie.replace("token.0", "token.7")).status == 401


def test_a_token_decides_and_a_cookie_beside_it_does_not(login: Service) -> None:
    """Whoever shows one credential that is wrong is not let in by another."""
    alice, bob = somebody(login), somebody(login)
    cookie = COOKIES["whole"](alice.token)
    assert bob.ask("/api/profile", cookie=cookie).json()["user"] == bob.id
    wrong = User(login, bob.id, bob.token[:-3])
    assert wrong.ask("/api/profile", cookie=cookie).status == 401


def with_cookie(service: Service, path: str, **headers: str) -> Reply:
    return ask(service, path, None, method="GET", **headers)
