"""What users show to be let in, and the requests that it comes in, right and wrong."""

import json
from base64 import b64encode

import pytest

from tests.canaries.house import GUEST, OWNER, House

QUESTION = "GET /api/profile HTTP/1.1\r\nHost: localhost\r\n"
HEADS = {
    "another scheme": QUESTION + "Authorization: Basic {}",
    "a scheme in the wrong place": QUESTION + "Authorization: {} Bearer",
    "nothing before it": QUESTION + "Authorization: {}",
    "twice": QUESTION + "Authorization: Bearer {}\r\nAuthorization: Bearer {}",
    "more than it": QUESTION + "Authorization: Bearer {}x",
    "a control character": QUESTION + "Authorization: Bearer {}\x01",
    "a NUL": QUESTION + "Authorization: Bearer {}\0",
    "a space before the colon": QUESTION + "Authorization : Bearer {}",
    "no colon": QUESTION + "Authorization Bearer {}",
    "a second line": QUESTION + "Authorization: Bearer\r\n {}",
    "a line of its own": QUESTION + "{}",
    "the name of a header": QUESTION + "{}: Bearer",
    "a name that is none": QUESTION + "{}\x80: Bearer",
    "too long": QUESTION + "Authorization: Bearer {}" + "x" * 9000,
    "another header": QUESTION + "X-API-Key: {}\r\nX-Auth-Token: {}\r\nProxy-Authorization: Basic {}",
    "a cookie": QUESTION + "Cookie: sb-a-auth-token={}; token={}",
    "an origin": QUESTION + "Origin: https://{}\r\nReferer: https://{}/",
    "a host": "GET /api/profile HTTP/1.1\r\nHost: {}",
    "an encoding": QUESTION + "Transfer-Encoding: {}",
    "a length": QUESTION + "Content-Length: {}",
    "a method": "{} / HTTP/1.1\r\nHost: localhost",
    "a version": "GET / HTTP/1.1 {}\r\nHost: localhost",
    "an address without a slash": "GET {} HTTP/1.1\r\nHost: localhost",
    "an address with a login": "GET http://me:{}@localhost/ HTTP/1.1\r\nHost: localhost",
    "an address that is too long": "GET /{}" + "x" * 5000 + " HTTP/1.1\r\nHost: localhost",
    "the first line": "{}",
    "a proxy's line": "PROXY TCP4 {} 1 1 1\r\nGET / HTTP/1.1",
}
"""Requests with a token in some place. Most are not HTTP, and none is to be told of in full."""


@pytest.mark.parametrize("wrong", HEADS)
def test_a_token_in_a_broken_request_is_not_shown(house: House, wrong: str) -> None:
    for user in (OWNER, GUEST):
        request = HEADS[wrong].replace("{}", house.logins[user])
        seen = house.send(f"{request}\r\nConnection: close\r\n\r\n".encode("latin-1"))
        assert seen.status in (200, 400, 401, 404, 405, 414, 431, 501)


@pytest.mark.parametrize("chunk", ["{}\r\n", "5;{}\r\nhello\r\n{}\r\n", "2\r\n\x7b\x7d{}\r\n0\r\n{}: x\r\n\r\n"])
def test_a_secret_among_the_chunks_of_a_body_is_not_shown(house: House, chunk: str) -> None:
    secret = house.add(f"in {chunk!r}")
    head = f"POST /api/chat/openai HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {house.logins[OWNER]}\r\n"
    body = chunk.replace("{}", secret)
    seen = house.send(f"{head}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{body}\r\n".encode())
    assert (seen.status, seen.json()["code"]) == (400, "bad_body")


def test_a_body_that_is_longer_than_its_length_is_not_shown(house: House) -> None:
    """The rest of it stands where the next request's first line is looked for."""
    secret = house.add("behind the end")
    head = f"POST /api/chat/openai HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {house.logins[OWNER]}\r\n"
    house.send(f'{head}Content-Length: 2\r\n\r\n{{}}{{"value": "{secret}"}}\r\n\r\n'.encode())
    assert house.ask("GET", "/healthz").status == 200


def test_a_session_s_cookie_is_not_shown(large: House) -> None:
    """Whether it is taken, or came from a page of another site."""
    session = b64encode(json.dumps({"access_token": large.logins[OWNER]}).encode()).decode()
    cookie = f"Cookie: sb-project-auth-token=base64-{session}"
    assert large.ask("GET", "/api/profile", b"", "", cookie).json()["user"] == OWNER
    for origin in (f"https://{large.logins[OWNER]}.test", "https://a.test"):
        seen = large.ask("POST", "/api/chat/openai", b"{}", "", cookie, f"Origin: {origin}")
        assert (seen.status, seen.json()["code"]) == (403, "forbidden_origin")
    cut = cookie[: len(cookie) // 2]
    assert large.ask("GET", "/api/profile", b"", "", cut).json()["code"] == "unauth"
