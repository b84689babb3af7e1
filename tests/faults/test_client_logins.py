"""Clients with a login: who shows a bad one, whose page is of another origin, who asks for more than his share."""

import time
import uuid
from contextlib import ExitStack

import pytest

from tests.far import Far, Script, scripts
from tests.far.paces import endless
from tests.far.scripts import ANSWER
from tests.faults.log import logged
from tests.faults.sluice import SOON, Sluice, environment, start
from tests.login.identity import AUDIENCE, ISSUER, SECRET, hs256, token
from tests.login.users import ORIGIN, coded_cookie
from tests.machine import slack
from tests.processes import Processes, wait_for
from tests.raw import Client, body, chat, connect, head, new_id

SHARE, RATE = 2, 30
"""How many chats a user may have at once, and begin in a minute."""
MILLISECONDS = 50
"""How long a refusal may take, as the client sees it, on a quiet machine; one of a few is enough."""


@pytest.fixture(scope="module")
def known(processes: Processes, far: Far) -> Sluice:
    """A service that knows its users, in which nothing goes on."""
    login = {"AUTH_JWT_SECRET": SECRET, "AUTH_JWT_AUDIENCE": AUDIENCE, "AUTH_JWT_ISSUER": ISSUER}
    limits = {"MAX_STREAMS_PER_USER": str(SHARE), "RATE_LIMIT": f"{RATE}/minute"}
    started = start(processes, far, environment(far, **login, **limits, CORS_ORIGINS=ORIGIN))
    warm = far.script("warm with logins", scripts.ok)
    with connect(started.port, chat(warm, new_id(), header(user()))) as client:
        client.until(b"0\r\n\r\n")
    started.calm()
    return started


def user() -> str:
    """Return somebody new."""
    return f"user-{uuid.uuid4().hex}"


def header(who: str) -> str:
    """Write the header of somebody's good token."""
    return f"Authorization: Bearer {token(sub=who)}"


# K16: a page of another origin asks whether it may ask.


@pytest.mark.parametrize(("origin", "allowed"), [(ORIGIN, True), ("https://evil.example", False), ("null", False)])
def test_k16_who_may_ask_is_told_so_and_who_may_not_is_told_nothing(
    known: Sluice, model: str, origin: str, *, allowed: bool
) -> None:
    name = new_id()
    wanted = ("Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization,content-type")
    request = head(name, f"Origin: {origin}", *wanted, "Connection: close").replace(b"POST ", b"OPTIONS ", 1)
    started = time.monotonic()
    with connect(known.port, request) as client:
        assert client.end() == "fin"
        assert time.monotonic() - started < SOON
        answer = client.answer()
    assert (answer.status, answer.body) == (204, b"")
    found = {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}
    assert found.get("access-control-allow-origin") == (origin if allowed else None)
    assert found.get("access-control-allow-credentials") == ("true" if allowed else None)
    assert bool(found) == allowed
    assert answer.headers["vary"] == "Origin"
    assert known.records(name) == []


# K21: a credential that is none.

OLD = int(time.time()) - 3600
COOKIE = "Cookie: {}".format
BAD = {
    "none": "X-Nothing: x",
    "no token": "Authorization: Bearer x",
    "no bearer": "Authorization: Basic YWxpY2U6YWxpY2U=",
    "an ended one": f"Authorization: Bearer {token(exp=OLD)}",
    "another service's": f"Authorization: Bearer {token(aud='another')}",
    "another provider's": f"Authorization: Bearer {token(iss='https://evil.example')}",
    "a forged one": f"Authorization: Bearer {token(hs256('another secret of thirty-two bytes'))}",
    "one without an end": f"Authorization: Bearer {token(exp=...)}",
    "the cookie of an ended one": COOKIE(coded_cookie(token(exp=OLD))),
    "a cookie of nothing": COOKIE("sb-project-auth-token=x"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_k21_a_bad_credential_is_refused_before_the_body_is_read(known: Sluice, model: str, bad: str) -> None:
    refused(known, model, (401, "unauth"), bad)


def test_k21_two_credentials_are_refused_though_both_are_good(known: Sluice, model: str) -> None:
    refused(known, model, (401, "unauth"), header(user()), header(user()))


@pytest.mark.parametrize("origin", ["Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site"])
def test_k21_a_cookie_that_a_foreign_page_has_sent_is_refused_before_the_body_is_read(
    known: Sluice, model: str, origin: str
) -> None:
    refused(known, model, (403, "forbidden_origin"), COOKIE(coded_cookie(token(sub=user()))), origin)


def refused(known: Sluice, model: str, expected: tuple[int, str], *headers: str) -> None:
    """Be refused, with a body that never comes."""
    started = time.monotonic()
    with connect(known.port, head(name := new_id(), *headers, "Content-Length: 5000000")) as client:
        client.until(b"}")
        assert time.monotonic() - started < SOON
        answer = client.answer()
    assert answer.failure() == expected
    assert answer.headers.get("www-authenticate") == ("Bearer" if expected[0] == 401 else None)
    status, code = expected
    assert logged(known, name, code, status)["user"] is None
    assert known.far.asked(model) == []


# K22: more than one's share.


def over(known: Sluice, who: str, extra: str) -> float:
    """Be refused as the one chat too many, with a body that never comes; return after how many milliseconds."""
    name, started = new_id(), time.monotonic()
    with connect(known.port, head(name, header(who), f"Content-Length: {len(body(extra))}")) as client:
        client.until(b"}")
        took = (time.monotonic() - started) * 1000
        assert client.answer().failure() == (429, "rate_limited")
        assert 0 < int(client.answer().headers["retry-after"]) <= 61
    assert logged(known, name, "rate_limited", 429)["user"] == who
    return took


def answered(known: Sluice, model: str, who: str) -> None:
    """Be answered to the end."""
    with connect(known.port, chat(model, new_id(), header(who))) as client:
        client.until(b"0\r\n\r\n")
        assert ANSWER.encode() in client.answer().body


def test_k22_a_user_s_chat_too_many_is_refused_at_once_and_all_others_go_on(
    known: Sluice, far: Far, model: str, mode: str
) -> None:
    greedy, other = user(), user()
    far.script(model, endless)
    extra = far.script(f"{model}, one too many", scripts.ok)
    names = [new_id() for _ in range(SHARE)]
    with ExitStack() as stack:
        running = [
            stack.enter_context(connect(known.port, chat(model, name, header(greedy), mode=mode))) for name in names
        ]
        for client in running:
            client.until(b"word ")
        assert any(over(known, greedy, extra) < MILLISECONDS * slack() for _ in range(8))
        assert far.asked(extra) == []
        answered(known, extra, other)
        assert known.is_quick()
        for client in running:
            goes_on(client)
        running[0].leave("fin")
        wait_for(lambda: len(known.records(names[0])) == 1)
        answered(known, extra, greedy)
        goes_on(running[1])
        running[1].leave("fin")
    for name in names:
        record = logged(known, name, "client_gone", 200, upstream=200, attempts=1, seconds=(0, 2 * SOON))
        assert record["user"] == greedy
    known.assert_calm()


def goes_on(client: Client) -> None:
    """Wait until more has come."""
    size = len(client.received)
    wait_for(lambda: client.take() and len(client.received) > size + 100)
    assert not client.ended


def leaving(way: str) -> Script:
    """Answer so that the client has something to leave."""
    return endless if way in {"fin", "reset", "half"} else WAYS[way]


WAYS: dict[str, Script] = {
    "an end": scripts.ok,
    "a cut": scripts.closing(scripts.CHUNKED, scripts.chunk(scripts.delta())),
    "a refusal": scripts.replying(500, b"{}"),
    "no answer": scripts.resetting(),
}


@pytest.mark.parametrize("way", [*WAYS, "fin", "reset", "half"])
def test_k22_a_share_is_given_back_on_every_way_out(known: Sluice, far: Far, model: str, way: str) -> None:
    who = user()
    far.script(model, leaving(way))
    for _ in range(SHARE * 3):
        name = new_id()
        with connect(known.port, chat(model, name, header(who))) as client:
            client.until(b"word " if way in {"fin", "reset", "half"} else b"\r\n\r\n")
            assert client.answers()[0].status in (200, 500)
            client.leave(way if way in {"fin", "reset", "half"} else "fin")
            wait_for(lambda name=name: known.records(name))  # type: ignore[misc]
    assert all(record["outcome"] != "rate_limited" for record in known.records() if record["user"] == who)
    known.assert_calm()


def test_k22_who_asks_too_often_is_refused_at_once_and_nobody_else_is(known: Sluice, far: Far, model: str) -> None:
    """Other users have a rate of their own, and what was refused is not counted."""
    eager, other = user(), user()
    far.script(model, scripts.ok)
    for _ in range(RATE):
        answered(known, model, eager)
    before = len(far.asked(model))
    assert any(over(known, eager, model) < MILLISECONDS * slack() for _ in range(8))
    assert len(far.asked(model)) == before
    answered(known, model, other)
