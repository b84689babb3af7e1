"""Clients that would have a worker for themselves: nobody else waits for them, however they cut what they send."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Thread

import pytest

from tests.far import Far, scripts
from tests.faults.sluice import Sluice, environment
from tests.machine import slack
from tests.processes import Processes, wait_for
from tests.raw import Client, chat, chunked, connect, head, new_id

MILLISECONDS = 250
"""How long anybody may be held up where nothing else runs; on a busy machine, by so many undisturbed beats more."""
UNDISTURBED = 40

STRANGER = "Origin: https://evil.example"
CHUNKED = "Transfer-Encoding: chunked"
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


@contextmanager
def nobody_held_up(sluice: Sluice) -> Iterator[None]:
    """Ask all the while whether the service is alive, and first how long that takes undisturbed."""
    with sluice.pulse() as beats:
        wait_for(lambda: len(beats) > 30, 20)
        undisturbed = max(beats[1:])
        beats.clear()
        yield
        wait_for(lambda: len(beats) > 3, 20)
    assert max(beats) < MILLISECONDS * slack() + UNDISTURBED * undisturbed


def pour(client: Client, data: bytes) -> None:
    """Send it all while reading what comes back, to the connection's end."""

    def send() -> None:
        with suppress(OSError):
            client.send(data)

    sender = Thread(target=send)
    sender.start()
    client.end(60)
    sender.join()


AHEAD = {
    "answered": (GET, 200),
    "refused": (head("no", STRANGER, "Content-Length: 2") + b"{}", 401),
    "not a chat": (head("no", "Content-Length: 2") + b"{}", 400),
    "unknown": (b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}", 404),
}


@pytest.mark.parametrize(("request_", "status"), AHEAD.values(), ids=AHEAD)
def test_requests_that_come_all_at_once_take_turns(sluice: Sluice, request_: bytes, status: int) -> None:
    with nobody_held_up(sluice), connect(sluice.port) as client:
        pour(client, request_ * 1000 + LAST)
    assert client.received.count(b"HTTP/1.1 %d " % status) == 1000 + (status == 200)


def test_who_asks_on_and_on_and_reads_nothing_is_given_up(strict: Sluice) -> None:
    asset = b"GET /static/page.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connect(strict.port, receive_buffer=4096) as client:
        with nobody_held_up(strict), suppress(OSError):
            client.send(asset * 5000)
        strict.assert_calm(20)
        assert client.end()


CHUNKS = {
    "of one byte": b"1\r\n \r\n" * 500_000,
    "of a few bytes": b"7\r\n       \r\n" * 250_000,
    "with long names": (b"1;" + b"a=b;" * 3000 + b"a\r\n \r\n") * 1200,
    "with trailers": b"0\r\n" + b"a: b\r\n" * 500_000,
}


@pytest.mark.parametrize(("header", "status"), [("X: y", 400), (STRANGER, 401)], ids=["a user's", "a stranger's"])
@pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS)
def test_a_body_in_tiny_chunks_is_not_read_on(sluice: Sluice, chunks: bytes, header: str, status: int) -> None:
    with nobody_held_up(sluice), connect(sluice.port, head(new_id(), CHUNKED, header)) as client:
        pour(client, chunks)
    assert client.answer().failure()[0] in {status, 408}


def test_a_deadline_rings_though_something_always_comes(strict: Sluice) -> None:
    """Chunks of one byte with names of 15 KiB: of the body itself there is hardly anything."""
    chunk = b"1;" + b"a" * 15_000 + b"\r\n \r\n"
    with nobody_held_up(strict), connect(strict.port, head(new_id(), CHUNKED)) as client:
        pour(client, chunk * 900 + b"100000\r\n" + b" " * 100_000)
    assert client.answer().failure() == (408, "body_timeout")


def test_headers_have_a_limit_together(sluice: Sluice) -> None:
    accept = b"Accept: " + b'"a",' * 3900 + b"\r\n"
    for name in (STRANGER, "X: y"):
        with nobody_held_up(sluice), connect(sluice.port, head(new_id(), name)[:-2]) as client:
            pour(client, accept * 45 + b"\r\n")
        assert client.answer().failure() == (431, "bad_body")
    with connect(sluice.port, head(new_id(), STRANGER, "Content-Length: 0")[:-2] + accept * 2 + b"\r\n") as client:
        client.until(b"}")
    assert client.answer().failure() == (401, "unauth")


def test_of_what_is_accepted_the_first_kilobyte_is_read(sluice: Sluice, far: Far, model: str) -> None:
    far.script(model, scripts.ok, scripts.ok)
    for before, kind in ((b"a/b," * 100, "text/event-stream"), (b"a/b," * 300, "text/plain; charset=utf-8")):
        accept = b"Accept: " + before + b"text/event-stream\r\n"
        with connect(sluice.port, chat(model, new_id()).replace(b"\r\n", b"\r\n" + accept, 1)) as client:
            client.until(b"0\r\n\r\n")
        assert client.answer().headers["content-type"] == kind


def chat_of(content: bytes) -> bytes:
    return b'{"chatSettings":{"model":"m"},"messages":[{"role":"user","content":%b}]}' % content


COSTLY = {
    "names": b"{%b}" % b",".join(b'"%d":null' % number for number in range(490_000)),
    "numbers": b'{"x":[%b]}' % b",".join([b"9" * 4000] * 2500),
    "fractions": b'{"x":[%b]}' % b",".join([b"2.2250738585072011e-308"] * 400_000),
    "pictures": chat_of(
        b"[%b]" % b",".join([b'{"type":"image_url","image_url":{"url":"data:image/png;base64,"}}'] * 130_000)
    ),
    "parts": chat_of(b"[%b]" % b",".join([b'{"type":"text","text":"a"}'] * 30_000)),
    "line ends": b'{"x":"%b"}' % (rb"a\n" * 3_000_000),
}


@pytest.mark.parametrize("body", COSTLY.values(), ids=COSTLY)
def test_a_body_that_is_dear_to_understand_is_refused(sluice: Sluice, body: bytes) -> None:
    request = head(new_id(), f"Content-Length: {len(body)}", "Connection: close") + body
    with nobody_held_up(sluice), connect(sluice.port) as client:
        pour(client, request)
    assert client.answer().failure() == (400, "bad_body")


@pytest.fixture(scope="module")
def narrow(processes: Processes, far: Far) -> Sluice:
    """A service with room for few connections, and for little in memory."""
    line = "gunicorn --worker-connections 40 tests.faults.observed:app"
    room = {"MAX_BODY_BYTES": "900000", "MAX_BODIES_BYTES": "1000000"}
    slow = {"HEADER_TIMEOUT_SECONDS": "60", "BODY_TIMEOUT_SECONDS": "60"}
    return Sluice(processes.fresh_service(environment(far, **room, **slow), line), far)


def test_bodies_that_fill_the_memory_are_refused(narrow: Sluice, far: Far, model: str) -> None:
    with connect(narrow.port, head(new_id(), "Content-Length: 900000"), b"{" * 899_999) as first:
        wait_for(lambda: narrow.observed()["chats"])
        for framing, data in (("Content-Length: 400000", b""), (CHUNKED, b"61a80\r\n" + b" " * 400_000)):
            with connect(narrow.port, head(new_id(), framing, "Connection: close")) as client:
                pour(client, data)
            assert client.answer().failure() == (503, "shed")
            assert client.answer().headers["retry-after"] == "1"
        first.leave("reset")
    wait_for(lambda: not narrow.observed()["chats"])
    with connect(narrow.port, head(new_id(), "Content-Length: 900000")) as client:
        client.send(" 😀".encode() * 180_000)
        client.until(b"}")
    assert client.answer().failure() == (400, "bad_body")


def test_bodies_that_are_only_announced_refuse_nobody(narrow: Sluice) -> None:
    with ExitStack() as stack:
        for _ in range(6):
            stack.enter_context(connect(narrow.port, head(new_id(), "Content-Length: 900000"), b"{"))
        wait_for(lambda: narrow.observed()["chats"] == 6)
        with connect(narrow.port, head(new_id(), "Content-Length: 2"), b"[]") as client:
            client.until(b"}")
    assert client.answer().failure() == (400, "bad_body")


def test_a_body_the_provider_has_takes_no_more_room(narrow: Sluice, far: Far, model: str) -> None:
    """Of one user, each chat under way has sent two thirds of what all may send at once."""
    far.script(model, *[scripts.sending(scripts.CHUNKED, scripts.chunk(scripts.delta()))] * 4)
    content = json.dumps({"chatSettings": {"model": model}, "messages": [{"role": "user", "content": "x" * 400_000}]})
    with ExitStack() as stack:
        for _ in range(4):
            request = head(new_id(), f"Content-Length: {len(content)}") + content.encode()
            client = stack.enter_context(connect(narrow.port, request))
            client.until(b"\r\n\r\n")
            assert client.received.startswith(b"HTTP/1.1 200 OK")


def test_a_body_in_the_chunks_of_an_encoder_is_read(sluice: Sluice, far: Far, model: str) -> None:
    """As Python's `http.client` sends what `JSONEncoder.iterencode` yields."""
    far.script(model, scripts.ok)
    messages = [{"role": "user", "content": "Hello?"}] * 999
    encoder = json.JSONEncoder().iterencode({"chatSettings": {"model": model}, "messages": messages})
    with nobody_held_up(sluice), connect(sluice.port, head(new_id(), CHUNKED)) as client:
        client.send(chunked(*map(str.encode, encoder)))
        client.until(b"0\r\n\r\n")
    assert client.answer().status == 200


def test_too_many_small_chunks_are_told_for_what_they_are(sluice: Sluice) -> None:
    with connect(sluice.port, head(new_id(), CHUNKED)) as client:
        client.send(chunked(*[b" "] * 20_001))
        client.end()
    message = "The body comes in too many small chunks. Please send larger ones, or a Content-Length."
    assert json.loads(client.answer().body)["message"] == message


LARGE = {
    "a stranger's": (5 * 1024 * 1024, STRANGER, (401, "unauth")),
    "too large": (11 * 1024 * 1024, "X: y", (413, "too_large")),
    "the last": (5 * 1024 * 1024, f"Connection: close\r\n{STRANGER}", (401, "unauth")),
}


@pytest.mark.parametrize(("size", "header", "refusal"), LARGE.values(), ids=LARGE)
def test_who_sends_all_before_reading_is_told_a_refusal(
    sluice: Sluice, size: int, header: str, refusal: tuple[int, str]
) -> None:
    with connect(sluice.port, head(new_id(), header, f"Content-Length: {size}")) as client:
        client.send(b" " * size)
        assert client.end() == "fin"
    assert client.answer().failure() == refusal


ASSET = b"GET /static/page.js HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_many_who_read_no_answer_keep_nobody_out(narrow: Sluice) -> None:
    with ExitStack() as stack:
        for _ in range(80):
            stack.enter_context(connect(narrow.port, ASSET * 60, receive_buffer=2048))
        with connect(narrow.port, LAST) as client:
            assert client.end() == "fin"
    assert client.answer().status == 200


def test_who_has_only_just_come_is_not_closed_for_others(narrow: Sluice, far: Far, model: str) -> None:
    """Chats of more than nine tenths of the room are under way."""
    far.script(model, *[scripts.sending(scripts.CHUNKED, scripts.chunk(scripts.delta()))] * 38)
    with ExitStack() as stack:
        for _ in range(38):
            stack.enter_context(connect(narrow.port, chat(model, new_id())))
        wait_for(lambda: len(far.asked(model)) == 38)
        with connect(narrow.port, GET[:-2]) as client:
            assert client.take(0.5) == b""
            client.send(LAST[len(GET) - 2 :])
            assert client.end() == "fin"
    assert client.answer().status == 200


WAITING = {
    "after an answer": (GET, b"}"),
    "before a request": (b"", b""),
    "in its headers": (GET[:-2], b""),
    "for a refused body": (head("no", STRANGER, "Content-Length: 9000"), b"}"),
}


@pytest.mark.parametrize(("sent", "answer"), WAITING.values(), ids=WAITING)
def test_of_too_many_that_wait_the_first_close(narrow: Sluice, sent: bytes, answer: bytes) -> None:
    with ExitStack() as stack:
        waiting = [stack.enter_context(connect(narrow.port, sent)) for _ in range(80)]
        assert waiting[0].end() in {"fin", "reset"}
        with connect(narrow.port, LAST) as client:
            assert client.end() == "fin"
        assert client.answer().status == 200
        if answer == b"}" and sent == GET:
            assert waiting[-1].until(answer)
            assert waiting[-1].take(0.1) == b""
            assert not waiting[-1].ended


def test_no_header_moves_the_service(sluice: Sluice) -> None:
    for header in (b"SCRIPT_NAME: /x", b"SCRIPT-NAME: /x", b"PATH_INFO: /x", b"REMOTE_USER: x", b"Path-Info: /x"):
        with connect(sluice.port, LAST.replace(b"\r\n\r\n", b"\r\n" + header + b"\r\n\r\n")) as client:
            client.end()
        assert client.answer().status == 200
        assert json.loads(client.answer().body) == {"status": "ok"}


@pytest.mark.parametrize("coding", ["gzip, chunked", "deflate, chunked", "identity, chunked", "gzip\r\nTE: x"])
def test_a_body_in_another_coding_is_not_supported(sluice: Sluice, coding: str) -> None:
    with connect(sluice.port, head(new_id(), f"Transfer-Encoding: {coding}"), b"2\r\n{}\r\n0\r\n\r\n") as client:
        client.end()
    status = 501 if "chunked" in coding else 400  # without chunks at the end, its length is unknown
    assert client.answer().failure() == (status, "bad_body")
