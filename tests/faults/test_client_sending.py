"""Clients that send badly: too slowly, too little, too much, or something that is not one request."""

import time
from threading import Event

import pytest

from tests.far import Far, Peer, scripts
from tests.far.scripts import ANSWER
from tests.faults.log import logged
from tests.faults.sluice import BODY, HEADER, SECONDS, SOON, Sluice
from tests.machine import slack
from tests.processes import wait_for
from tests.raw import Client, body, chat, chunked, connect, head, new_id

LATE = 0.8
"""Seconds that a deadline may be late, on a quiet machine."""

LIMIT = 10 * 1024**2
"""The largest body, in bytes: the service's default."""

CHUNKED = "Transfer-Encoding: chunked"


def trickle(client: Client, data: bytes) -> None:
    """Send a byte every 0.1 s, for as long as nothing comes back."""
    for number in range(len(data)):
        client.send(data[number : number + 1])
        if client.take(0.1) or client.ended:
            return


def answered(client: Client) -> float:
    """Read the service's one answer to its end and the connection's; return when the answer was here."""
    client.until(b"\r\n\r\n")
    client.until(b"}")
    at = time.monotonic()
    client.end()
    return at


def assert_unasked(sluice: Sluice, model: str) -> None:
    assert sluice.far.asked(model) == []


@pytest.mark.parametrize("before", [0, 40, 100], ids=["request line", "headers", "last line"])
def test_k7_headers_that_come_too_slowly_are_given_up(strict: Sluice, model: str, before: int) -> None:
    request = head(name := new_id(), "Content-Length: 100")
    started = time.monotonic()
    with connect(strict.port, request[:before]) as client:
        trickle(client, request[before:])
        assert client.end() in {"fin", "reset"}
        assert HEADER - 0.05 < time.monotonic() - started < HEADER + LATE * slack()
        assert client.received == b""
    assert strict.records(name) == []


def test_k7_the_next_request_s_headers_have_the_same_deadline(strict: Sluice, far: Far, model: str) -> None:
    far.script(model, scripts.ok)
    names = [new_id(), new_id()]
    with connect(strict.port, chat(model, names[0])) as client:
        client.until(b"0\r\n\r\n")
        assert client.take(HEADER + 0.3) == b""
        assert not client.ended  # an idle connection stays open for longer than headers may take
        started = time.monotonic()
        trickle(client, chat(model, names[1]))
        client.end()
        assert HEADER - 0.05 < time.monotonic() - started < HEADER + LATE * slack()
        assert client.answer().body.decode() == ANSWER
    assert len(far.asked(model)) == 1
    assert strict.records(names[1]) == []


@pytest.mark.parametrize("early", [0, 40], ids=["during the answer before", "with the request before"])
def test_k7_so_have_headers_that_began_to_come_early(strict: Sluice, far: Far, model: str, early: int) -> None:
    """Their first byte is read without waiting, so that nothing that waits for it is told."""
    go_on = Event()

    def script(peer: Peer) -> None:
        peer.send(scripts.CHUNKED, scripts.chunk(scripts.delta()))
        go_on.wait(SECONDS)
        peer.send(scripts.chunk(scripts.stop(), scripts.DONE), scripts.LAST)

    far.script(model, script)
    names = [new_id(), new_id()]
    second = chat(model, names[1])
    with connect(strict.port, chat(model, names[0]), second[:early]) as client:
        client.until(ANSWER.encode())
        client.send(second[early:40])
        started = time.monotonic()
        go_on.set()
        client.until(b"0\r\n\r\n")
        client.end()
        assert HEADER - 0.05 < time.monotonic() - started < HEADER + LATE * slack()
        assert client.answer().whole
    assert len(far.asked(model)) == 1
    assert strict.records(names[1]) == []


@pytest.mark.parametrize("framing", ["Content-Length: 100", CHUNKED])
def test_k8_a_body_that_comes_too_slowly_is_given_up(strict: Sluice, model: str, framing: str) -> None:
    started = time.monotonic()
    data = body(model) if framing != CHUNKED else b"64\r\n" + body(model)
    with connect(strict.port, head(name := new_id(), framing)) as client:
        trickle(client, data)
        took = answered(client) - started
        assert client.answer().failure() == (408, "body_timeout")
    assert BODY - 0.05 < took < BODY + LATE * slack()
    logged(strict, name, "body_timeout", 408, seconds=(BODY, BODY + LATE))
    assert_unasked(strict, model)


@pytest.mark.parametrize("sent", [0, 3])
def test_k9_a_body_shorter_than_announced_is_refused(sluice: Sluice, model: str, sent: int) -> None:
    content = body(model)
    started = time.monotonic()
    with connect(sluice.port, head(name := new_id(), f"Content-Length: {len(content)}"), content[:sent]) as client:
        client.leave("half")
        assert answered(client) - started < SOON
        assert client.answer().failure() == (400, "bad_body")
    logged(sluice, name, "bad_body", 400)
    assert_unasked(sluice, model)


def test_k9_a_whole_chat_shorter_than_announced_is_refused(sluice: Sluice, model: str) -> None:
    """It is valid JSON, so only its length tells that something is missing."""
    content = body(model)
    with connect(sluice.port, head(name := new_id(), f"Content-Length: {len(content) + 1}"), content) as client:
        client.leave("half")
        answered(client)
        assert client.answer().failure() == (400, "bad_body")
    logged(sluice, name, "bad_body", 400)
    assert_unasked(sluice, model)


@pytest.mark.parametrize("framing", ["Content-Length: 1000", CHUNKED])
def test_k3_a_client_that_resets_in_the_middle_of_its_body_is_gone(sluice: Sluice, model: str, framing: str) -> None:
    """It is nobody's mistake, least of all ours."""
    before = len(sluice.service.log.read_text())
    part = body(model)[:20]
    with connect(
        sluice.port, head(name := new_id(), framing), b"3e8\r\n" if framing == CHUNKED else b"", part
    ) as client:
        wait_for(lambda: sluice.observed()["chats"])
        client.leave("reset")
    logged(sluice, name, "client_gone", 499)
    log = sluice.service.log.read_text()[before:]
    assert "Traceback" not in log
    assert "mistake" not in log
    assert_unasked(sluice, model)


@pytest.mark.parametrize("length", [LIMIT + 1, 99_999_999, 10**30])
def test_k10_a_body_that_says_it_is_too_large_is_refused_unread(sluice: Sluice, model: str, length: int) -> None:
    started = time.monotonic()
    with connect(sluice.port, head(name := new_id(), f"Content-Length: {length}")) as client:
        client.until(b"}")
        assert time.monotonic() - started < SOON
        assert client.answer().failure() == (413, "too_large")
    logged(sluice, name, "too_large", 413)
    assert_unasked(sluice, model)


def test_k10_a_body_that_was_refused_is_not_taken_to_its_end(sluice: Sluice, model: str) -> None:
    with connect(sluice.port, head(name := new_id(), f"Content-Length: {10 * LIMIT}")) as client:
        client.until(b"}")
        sent = 0
        try:
            while sent < 10 * LIMIT:
                sent += client.socket.send(b" " * 65536)
        except ConnectionError:
            client.ended = "reset"
        assert sent < 3 * LIMIT
        assert client.end()
        assert client.answer().failure() == (413, "too_large")
    logged(sluice, name, "too_large", 413)


def test_k11_a_chunked_body_that_grows_too_large_is_refused(sluice: Sluice, model: str) -> None:
    """It is a whole chat and then white space, so that a silent cut would be answered."""
    content = chunked(body(model), *[b" " * 2**20] * 10)
    with connect(sluice.port, head(name := new_id(), CHUNKED), content) as client:
        client.until(b"}")
        assert client.answer().failure() == (413, "too_large")
    logged(sluice, name, "too_large", 413, seconds=(0, 2 * SOON))
    assert_unasked(sluice, model)


def test_k12_a_chunked_body_within_the_limit_is_taken(sluice: Sluice, far: Far, model: str) -> None:
    far.script(model, scripts.ok)
    content = body(model)
    halves = b"A;x=1\r\n" + content[:10] + b"\r\n" + chunked(content[10:])
    with connect(sluice.port, head(name := new_id(), CHUNKED), halves) as client:
        client.until(b"0\r\n\r\n")
        assert client.answer().whole
        assert client.answer().body.decode() == ANSWER
    logged(sluice, name, "ok", 200, upstream=200, attempts=1)
    assert len(far.asked(model)) == 1


@pytest.mark.parametrize("size", [b"zz", b"-1", b"0x10", b"1_0", b"+5", b" 5", b"", b"10\n"])
def test_k12_a_chunk_without_a_proper_size_is_refused(sluice: Sluice, model: str, size: bytes) -> None:
    content = body(model)
    broken = b"%x\r\n%b\r\n" % (len(content), content) + size + b"\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    started = time.monotonic()
    with connect(sluice.port, head(name := new_id(), CHUNKED), broken) as client:
        assert answered(client) - started < SOON
        assert client.answer().failure() == (400, "bad_body")
    logged(sluice, name, "bad_body", 400)
    assert_unasked(sluice, model)


def test_k13_a_client_that_asks_first_is_told_to_go_on(sluice: Sluice, far: Far, model: str, mode: str) -> None:
    far.script(model, scripts.ok)
    content = body(model)
    expecting = head(name := new_id(), f"Content-Length: {len(content)}", "Expect: 100-continue", mode=mode)
    with connect(sluice.port, expecting) as client:
        client.until(b"HTTP/1.1 100 Continue\r\n\r\n")
        client.send(content)
        client.until(b"0\r\n\r\n")
        go_on, answer = client.answers()
    assert (go_on.status, answer.status, answer.whole) == (100, 200, True)
    assert ANSWER.encode() in answer.body
    logged(sluice, name, "ok", 200, upstream=200, attempts=1)


def test_k13_a_client_that_asks_first_with_too_much_is_refused_unread(sluice: Sluice, model: str) -> None:
    """The server sends its 100 before the application is asked."""
    expecting = head(name := new_id(), f"Content-Length: {LIMIT + 1}", "Expect: 100-continue")
    with connect(sluice.port, expecting) as client:
        client.until(b"}")
        *go_on, answer = client.answers()
    assert [interim.status for interim in go_on] == [100]
    assert answer.failure() == (413, "too_large")
    logged(sluice, name, "too_large", 413)
    assert_unasked(sluice, model)
