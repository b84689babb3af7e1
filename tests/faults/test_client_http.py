"""Clients that send what is no chat request: not HTTP, not a POST, not JSON, or not theirs to send."""

import time

import pytest

from tests.far import Far, scripts
from tests.far.scripts import ANSWER
from tests.faults.log import logged
from tests.faults.sluice import SOON, Sluice
from tests.raw import body, connect, head, new_id

ONE = "Content-Length: 2"
CHUNKED = "Transfer-Encoding: chunked"
SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
"""A request that is answered only if the one before it was read in another way than a proxy in front may read it."""

AMBIGUOUS = {
    "a length and chunks": ((ONE, CHUNKED), 400),
    "chunks and a length": ((CHUNKED, ONE), 400),
    "two lengths": ((ONE, "Content-Length: 3"), 400),
    "the same length twice": ((ONE, ONE), 400),
    "a list of lengths": (("Content-Length: 2, 2",), 400),
    "a length with a sign": (("Content-Length: +2",), 400),
    "a negative length": (("Content-Length: -2",), 400),
    "a length with an underscore": (("Content-Length: 0_2",), 400),
    "a hexadecimal length": (("Content-Length: 0x2",), 400),
    "an unknown coding": (("Transfer-Encoding: xchunked",), 501),
    "an unknown coding before chunks": (("Transfer-Encoding: nothing, chunked",), 501),
    "chunks that are not last": (("Transfer-Encoding: chunked, identity",), 400),
    "chunks twice": (("Transfer-Encoding: chunked, chunked",), 400),
    "chunks behind a control character": (("Transfer-Encoding: \vchunked",), 400),
    "a space before the colon": (("Transfer-Encoding : chunked",), 400),
    "a folded header": (("X: a", " Transfer-Encoding: chunked"), 400),
    "a bare CR": (("X: a\rTransfer-Encoding: chunked",), 400),
    "a bare LF": (("X: a\nTransfer-Encoding: chunked",), 400),
    "a NUL": (("X: a\0b", ONE), 400),
    "two hosts": (("Host: elsewhere", ONE), 400),
}


@pytest.mark.parametrize(("headers", "status"), AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_k14_what_two_servers_could_read_in_two_ways_is_refused_and_ends_the_connection(
    sluice: Sluice, headers: tuple[str, ...], status: int
) -> None:
    started = time.monotonic()
    with connect(sluice.port, head(name := new_id(), *headers), b"{}", SMUGGLED) as client:
        client.end()
        assert time.monotonic() - started < SOON
        assert client.answer().failure() == (status, "bad_body")
    assert sluice.records(name) == []


def test_k14_chunks_over_http_1_0_are_refused(sluice: Sluice) -> None:
    with connect(sluice.port, head(name := new_id(), CHUNKED, version="1.0"), b"2\r\n{}\r\n0\r\n\r\n") as client:
        client.end()
        assert client.answer().failure() == (400, "bad_body")
    assert sluice.records(name) == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "BREW"])
def test_k15_a_wrong_method_is_405(sluice: Sluice, model: str, method: str) -> None:
    content = body(model)
    request = head(name := new_id(), f"Content-Length: {len(content)}", "Connection: close") + content
    started = time.monotonic()
    with connect(sluice.port, request.replace(b"POST", method.encode(), 1)) as client:
        assert client.end() == "fin"
        assert time.monotonic() - started < SOON
        answer = client.answer()
    assert set(answer.headers["allow"].split(", ")) == {"OPTIONS", "POST"}
    assert answer.headers["content-type"] == "application/json"
    if method == "HEAD":
        assert (answer.status, answer.body) == (405, b"")
    else:
        assert answer.failure() == (405, "method")
    assert sluice.far.asked(model) == []
    assert sluice.records(name) == []


TYPES = {
    "as a string": "text/plain;charset=UTF-8",
    "as JSON": "application/json",
    "as some JSON": "application/vnd.chat+json",
    "as curl does": "application/x-www-form-urlencoded",
    "as bytes": "application/octet-stream",
    "as nonsense": "nonsense",
    "without": "",
}


@pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES)
def test_k17_json_is_taken_whatever_it_is_called(sluice: Sluice, far: Far, model: str, mode: str, kind: str) -> None:
    far.script(model, scripts.ok)
    content = body(model)
    headers = [f"Content-Length: {len(content)}", *([f"Content-Type: {kind}"] if kind else [])]
    with connect(sluice.port, head(name := new_id(), *headers, mode=mode), content) as client:
        client.until(b"0\r\n\r\n")
        answer = client.answer()
    assert (answer.status, answer.whole) == (200, True)
    assert ANSWER.encode() in answer.body
    logged(sluice, name, "ok", 200, upstream=200, attempts=1)
    assert len(far.asked(model)) == 1


OTHER = {
    "a file upload": ("Content-Type: multipart/form-data; boundary=x", 415, "bad_type"),
    "a compressed body": ("Content-Encoding: gzip", 415, "bad_type"),
    "another compressed body": ("Content-Encoding: br", 415, "bad_type"),
    "a body compressed twice": ("Content-Encoding: gzip, gzip", 415, "bad_type"),
}


@pytest.mark.parametrize(("header", "status", "code"), OTHER.values(), ids=OTHER)
def test_k18_what_is_not_plain_json_is_refused_unread(
    sluice: Sluice, model: str, header: str, status: int, code: str
) -> None:
    started = time.monotonic()
    with connect(sluice.port, head(name := new_id(), header, "Content-Length: 100")) as client:
        client.until(b"}")
        assert time.monotonic() - started < SOON
        assert client.answer().failure() == (status, code)
    logged(sluice, name, code, status)
    assert sluice.far.asked(model) == []


def test_k18_a_form_is_refused_by_what_it_is(sluice: Sluice, model: str) -> None:
    """Not by its type, because that is curl's name for any body."""
    content = f"model={model}&messages=x".encode()
    headers = ("Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(content)}")
    with connect(sluice.port, head(name := new_id(), *headers), content) as client:
        client.until(b"}")
        assert client.answer().failure() == (400, "bad_body")
    logged(sluice, name, "bad_body", 400)
    assert sluice.far.asked(model) == []


STRANGERS = {
    "behind a proxy": "X-Forwarded-For: 203.0.113.9",
    "behind another proxy": "Via: 1.1 proxy",
    "a foreign page": "Origin: https://evil.example",
    "a page without an origin": "Origin: null",
}


@pytest.mark.parametrize("header", STRANGERS.values(), ids=STRANGERS)
def test_k21_who_is_nobody_is_told_so_before_the_body_is_read(sluice: Sluice, model: str, header: str) -> None:
    started = time.monotonic()
    with connect(sluice.port, head(name := new_id(), header, "Content-Length: 5000000")) as client:
        client.until(b"}")
        assert time.monotonic() - started < SOON
        assert client.answer().failure() == (401, "unauth")
        assert client.answer().headers["www-authenticate"] == "Bearer"
    logged(sluice, name, "unauth", 401)
    assert sluice.far.asked(model) == []


def test_k21_a_foreign_name_for_this_machine_is_nobody(sluice: Sluice, model: str) -> None:
    """A page of that name, which resolves to 127.0.0.1, is same-origin to the browser."""
    request = head(name := new_id(), "Content-Length: 100").replace(b"Host: localhost", b"Host: evil.example")
    with connect(sluice.port, request) as client:
        client.until(b"}")
        assert client.answer().failure() == (401, "unauth")
    logged(sluice, name, "unauth", 401)
