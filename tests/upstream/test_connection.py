"""One connection, against a provider that sends exactly these bytes."""

import gc
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event
from time import monotonic

import pytest

from app.failure import Failure
from app.upstream.connection import MAX_HEADERS, Connection, Reply, State
from app.wait import wait_alone
from tests.far import Far, Peer
from tests.far.scripts import EVENTS, LAST, answering, chunked, holding, whole
from tests.processes import wait_for

from .failures import broken

pytestmark = pytest.mark.usefixtures("_no_leak")

REQUEST = b"POST /v1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"
SOON = 5.0
BRIEFLY = 0.05


@contextmanager
def asked(server: Far, request: bytes = REQUEST) -> Iterator[Connection]:
    """Connect and send a request."""
    connection = Connection(socket.create_connection(("127.0.0.1", server.port), SOON))
    try:
        connection.send(request, wait_alone, SOON)
        yield connection
    finally:
        connection.close()


def body(connection: Connection) -> bytes:
    """Read a body to its proper end."""
    found = b""
    while data := connection.read(SOON):
        found += data
    assert data == b"", "nothing came for so long"
    return found


# What an answer may look like.

CHUNKED = chunked(b"Hello, ", b"you!") + LAST
ANSWERS = {
    "a length": whole(b"Hello, you!"),
    "chunks": CHUNKED,
    "a length of nothing": whole(b""),
    "an end by closing": EVENTS + b"Connection: close\r\n\r\nHello, you!",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\nHello, you!",
    "HTTP/1.0 with a length": b"HTTP/1.0 200 OK\r\nContent-Length: 11\r\n\r\nHello, you!",
    "100 before it": b"HTTP/1.1 100 Continue\r\n\r\n" + CHUNKED,
    "103 before it": b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nContent-Length: 4\r\n\r\n" + CHUNKED,
    "three before it": b"HTTP/1.1 102 Processing\r\nX-A: b\r\n\r\n" * 3 + CHUNKED,
    "extensions of chunks": EVENTS + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nHello\r\n6\r\n, you!\r\n0\r\n\r\n",
    "trailers": chunked(b"Hello, you!") + b"0\r\nX-Checksum: 7\r\n\r\n",
    "no words beside the status": b"HTTP/1.1 200\r\nContent-Length: 11\r\n\r\nHello, you!",
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
}


@pytest.mark.parametrize("sent", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("split", [False, True], ids=["at once", "byte by byte"])
def test_an_answer_is_read_to_its_end(server: Far, sent: bytes, split: bool) -> None:  # noqa: FBT001
    server.play(answering(*([bytes([byte]) for byte in sent] if split else [sent])))
    with asked(server) as connection:
        head = connection.head(SOON)
        assert head is not None
        assert head.status == (204 if b" 204 " in sent else 200)
        assert body(connection) == (b"Hello, you!" if b"you" in sent else b"")
        assert connection.read(SOON) == b""


def test_headers_come_in_order_and_none_of_an_announcement(server: Far) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    server.play(
        answering(early + b"HTTP/1.1 429 No\r\nRetry-After:  7 \t \r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 0\r\n\r\n")
    )
    with asked(server) as connection:
        head = connection.head(SOON)
        assert head is not None
        assert (head.status, head.headers) == (
            429,
            [(b"retry-after", b"7"), (b"x-a", b"1"), (b"x-a", b"2"), (b"content-length", b"0")],
        )


def test_an_announcement_alone_is_not_an_answer(server: Far) -> None:
    server.play(holding(b"HTTP/1.1 100 Continue\r\n\r\n"))
    with asked(server) as connection:
        assert connection.head(0.2) is None


# States.

STATES = {
    "nothing": (b"", State.HEAD, "up_reset"),
    "an announcement": (b"HTTP/1.1 100 Continue\r\n\r\n", State.HEAD, "up_reset"),
    "a length": (EVENTS + b"Content-Length: 5\r\n\r\nHi", State.BODY, "up_truncated"),
    "chunks": (chunked(b"Hi"), State.BODY, "up_truncated"),
    "neither": (EVENTS + b"\r\nHi", State.REST, ""),
    "a whole one": (whole(b"Hi"), State.COMPLETE, None),
    "no body": (b"HTTP/1.1 204 No Content\r\n\r\n", State.COMPLETE, None),
    "no chunk": (chunked(b"Hi") + b"oops\r\n", State.BROKEN, None),
}


@pytest.mark.parametrize(("sent", "state", "code"), STATES.values(), ids=STATES)
def test_what_an_end_means_depends_on_the_state(sent: bytes, state: State, code: str | None) -> None:
    """None where nobody reads that far."""
    reply = Reply()
    if sent:
        reply.feed(sent)
    assert reply.state is state
    if code:
        assert broken(lambda: reply.feed(b"")) == code
    elif code == "":
        reply.feed(b"")
        assert reply.state is State.COMPLETE
    reply.close()


def test_a_broken_reply_is_never_whole_again() -> None:
    """Else the connection would be kept for the next chat."""
    reply = Reply()
    reply.feed(chunked(b"Hi") + b"0\r\n" + b"a:\r\n" * (MAX_HEADERS + 1))
    reply.feed(b"\r\n")
    assert (reply.state, reply.keep_alive) == (State.BROKEN, False)
    reply.close()


# What is not an answer.

HEADS = {
    "nothing": (b"", "up_reset"),
    "half a status line": (b"HTTP/1.1 20", "up_reset"),
    "half the headers": (b"HTTP/1.1 200 OK\r\nContent-Le", "up_reset"),
    "only an announcement": (b"HTTP/1.1 100 Continue\r\n\r\n", "up_reset"),
    "HTTP/0.9": (b"<html>hello</html>", "up_protocol"),
    "a TLS record": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", "up_protocol"),
    "SSH": (b"SSH-2.0-OpenSSH_9.2\r\n", "up_protocol"),
    "HTTP/2": (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", "up_protocol"),
    "a request": (b"GET / HTTP/1.1\r\n\r\n", "up_protocol"),
    "a status of two digits": (b"HTTP/1.1 20 OK\r\n\r\n", "up_protocol"),
    "a header without a colon": (b"HTTP/1.1 200 OK\r\noops\r\n\r\n", "up_protocol"),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "up_protocol"),
    "a length that is none": (b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\nab", "up_protocol"),
    "a length and chunks": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "up_protocol",
    ),
    "a switch of protocols": (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhi",
        "up_protocol",
    ),
    "200 KiB of headers": (b"HTTP/1.1 200 OK\r\n" + b"X-Flood: %b\r\n" % (b"x" * 1000) * 200, "up_protocol"),
    "200 KiB of one header": (b"HTTP/1.1 200 OK\r\nX-Flood: " + b"x" * 200 * 1024, "up_protocol"),
    "too many headers": (b"HTTP/1.1 200 OK\r\n" + b"a:\r\n" * (MAX_HEADERS + 1) + b"\r\n", "up_protocol"),
    "too many announcements": (b"HTTP/1.1 103 Early Hints\r\na:\r\n\r\n" * (MAX_HEADERS + 1), "up_protocol"),
    "200 KiB of announcements": (b"HTTP/1.1 100 Continue\r\n\r\n" * 8000, "up_protocol"),
}


@pytest.mark.parametrize(("sent", "code"), HEADS.values(), ids=HEADS)
def test_a_head_that_is_none_is_a_failure(server: Far, sent: bytes, code: str) -> None:
    server.play(answering(sent))
    with asked(server) as connection:
        assert broken(lambda: connection.head(SOON)) == code
        assert connection.heard == bool(sent)
        assert not connection.finished()


BODIES = {
    "inside a chunk": (chunked(b"Hello")[:-4], b"Hel", "up_truncated"),
    "between chunks": (chunked(b"Hello"), b"Hello", "up_truncated"),
    "inside the last chunk": (chunked(b"Hello") + b"0\r\n", b"Hello", "up_truncated"),
    "inside a trailer": (chunked(b"Hello") + b"0\r\nX-A", b"Hello", "up_truncated"),
    "before an announced length": (EVENTS + b"Content-Length: 99\r\n\r\nHello", b"Hello", "up_truncated"),
    "before the first byte": (EVENTS + b"Content-Length: 99\r\n\r\n", b"", "up_truncated"),
    "with a chunk of no size": (chunked(b"Hello") + b"oops\r\n", b"Hello", "up_protocol"),
    "with a chunk longer than its size": (chunked(b"Hello") + b"2\r\nabc\r\n", b"Hello", "up_protocol"),
}


@pytest.mark.parametrize(("sent", "before", "code"), BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("split", [False, True], ids=["at once", "byte by byte"])
def test_a_body_that_breaks_off_fails_after_what_came(
    server: Far,
    sent: bytes,
    before: bytes,
    code: str,
    split: bool,  # noqa: FBT001
) -> None:
    server.play(answering(*([bytes([byte]) for byte in sent] if split else [sent])))
    with asked(server) as connection:
        found = [b""]

        def read() -> None:
            while data := connection.read(SOON):
                found.append(data)

        assert broken(read) == code
        assert b"".join(found).startswith(before)
        assert not connection.finished()


def test_a_reset_is_a_failure_before_the_headers_and_after(server: Far) -> None:
    def before(peer: Peer) -> None:
        peer.request()
        peer.reset()

    read = Event()

    def after(peer: Peer) -> None:
        peer.request()
        peer.send(chunked(b"Hello"))
        assert read.wait(SOON)
        peer.reset()

    server.play(before, after)
    with asked(server) as connection:
        assert broken(lambda: connection.head(SOON)) == "up_reset"
    with asked(server) as connection:
        assert connection.read(SOON) == b"Hello"
        read.set()
        assert broken(lambda: connection.read(SOON)) == "up_reset"


def test_trailers_without_end_are_given_up(server: Far) -> None:
    flood = b"X-Flood: %b\r\n" % (b"x" * 1000) * 1000
    server.play(answering(chunked(b"Hello") + b"0\r\n", flood))
    with asked(server) as connection:
        assert connection.read(SOON) == b"Hello"
        assert broken(lambda: connection.read(SOON)) == "up_protocol"


# Time.


def test_nothing_in_time_is_none_and_reading_goes_on(server: Far) -> None:
    steps = [Event() for _ in range(4)]

    def script(peer: Peer) -> None:
        peer.request()
        for step, part in zip(steps, (EVENTS[:20], EVENTS[20:], b"Content-Length: 4\r\n\r\nab", b"cd"), strict=True):
            assert step.wait(SOON)
            peer.send(part)

    server.play(script)
    with asked(server) as connection:
        for step in steps[:2]:
            assert connection.head(BRIEFLY) is None
            step.set()
        assert connection.head(BRIEFLY) is None
        steps[2].set()
        assert connection.head(SOON) is not None
        assert connection.read(SOON) == b"ab"
        assert connection.read(0) is None
        assert connection.read(BRIEFLY) is None
        steps[3].set()
        assert connection.read(SOON) == b"cd"
        assert connection.read(SOON) == b""


def test_bytes_that_are_no_body_do_not_prolong_the_time(server: Far) -> None:
    go_on = Event()

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(EVENTS)
        while not go_on.wait(0.02):
            peer.send(b"X-A: b\r\n")

    server.play(script)
    with asked(server) as connection:
        started = monotonic()
        assert connection.head(0.2) is None
        assert monotonic() - started < SOON
        go_on.set()


def test_a_request_that_nobody_takes_in_time_is_a_failure(server: Far) -> None:
    server.play(lambda peer: peer.wait(SOON))
    connection = Connection(socket.create_connection(("127.0.0.1", server.port), SOON))
    assert broken(lambda: connection.send(b"x" * 64 * 1024 * 1024, wait_alone, 0.2)) in {"up_timeout", "up_reset"}
    connection.close()
    wait_for(lambda: bool(server.peers))
    server.peers[0].stop()


def test_an_answer_before_the_request_is_whole_is_read(server: Far) -> None:
    """A proxy says 413 and closes without reading the rest."""

    def script(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")

    server.play(script)
    head = b"POST /v1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 33554432\r\n\r\n"
    with asked(server, head + b"x" * 33554432) as connection:
        found = connection.head(SOON)
        assert found is not None
        assert found.status == 413


def test_as_many_headers_as_may_be_are_kept(server: Far) -> None:
    server.play(answering(b"HTTP/1.1 204 No\r\n" + b"a:\r\n" * MAX_HEADERS + b"\r\n"))
    with asked(server) as connection:
        head = connection.head(SOON)
        assert head is not None
        assert len(head.headers) == MAX_HEADERS


def test_too_many_trailers_cost_a_connection_its_reuse(server: Far) -> None:
    server.play(holding(chunked(b"Hello") + b"0\r\n" + b"a:\r\n" * (MAX_HEADERS + 1) + b"\r\n"))
    with asked(server) as connection:
        assert connection.read(SOON) == b"Hello"
        connection.settle(SOON)
        assert not connection.finished()


@pytest.mark.parametrize("sent", [whole(b"Hi"), b"HTTP/1.1 200 OK\r\noops\r\n\r\n"], ids=["good", "broken"])
def test_nothing_of_a_reply_waits_for_the_collector(server: Far, sent: bytes) -> None:
    """The parser calls the reply, and the reply feeds the parser; the fixture holds the collector still."""
    before = replies()
    server.play(answering(sent))
    with asked(server) as connection, suppress(Failure):
        body(connection)
    del connection
    assert replies() == before


def replies() -> int:
    return sum(isinstance(found, Reply) for found in gc.get_objects())


# Reuse.


def test_a_connection_whose_answer_is_over_carries_the_next(server: Far) -> None:
    def script(peer: Peer) -> None:
        for sent in (whole(b"one"), chunked(b"two") + LAST):
            peer.request()
            peer.send(sent)
        peer.wait()

    server.play(script)
    with asked(server) as connection:
        assert body(connection) == b"one"
        assert connection.finished()
        assert connection.alive()
        connection.send(REQUEST, wait_alone, SOON)
        assert not connection.heard
        assert body(connection) == b"two"
        assert connection.finished()
    assert len(server.peers) == 1


def test_an_end_that_came_with_the_last_bytes_need_not_be_read(server: Far) -> None:
    server.play(holding(chunked(b"one") + LAST))
    with asked(server) as connection:
        assert connection.read(SOON) == b"one"
        assert connection.finished()


ONCE = {
    "it said so": whole(b"Hello", EVENTS + b"Connection: close\r\n"),
    "HTTP/1.0": whole(b"Hello", b"HTTP/1.0 200 OK\r\n"),
    "more than announced": EVENTS + b"Content-Length: 5\r\n\r\nHello and more",
    "bytes after the last chunk": chunked(b"Hello") + LAST + b"and more",
    "a second answer that nobody asked for": whole(b"Hello") + whole(b"EVIL"),
    "half a second answer": whole(b"Hello") + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n",
}


@pytest.mark.parametrize("sent", ONCE.values(), ids=ONCE)
def test_nothing_follows_an_answer_that_is_the_last(server: Far, sent: bytes) -> None:
    server.play(holding(sent))
    with asked(server) as connection:
        assert connection.head(SOON) is not None
        assert body(connection) == b"Hello"
        assert not connection.finished()


def test_a_connection_whose_answer_is_not_over_carries_no_other(server: Far) -> None:
    server.play(holding(chunked(b"Hello")), holding(whole(b"Hello")))
    with asked(server) as connection:
        assert connection.read(SOON) == b"Hello"
        assert not connection.finished()
    with asked(server) as connection:
        assert connection.head(SOON) is not None
        assert not connection.finished(), "its body has not been read"


def test_an_idle_connection_that_ended_or_speaks_is_not_alive(server: Far) -> None:
    said = Event()

    def speaking(peer: Peer) -> None:
        peer.request()
        peer.send(whole(b"one"))
        assert said.wait(SOON)
        peer.send(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        peer.wait()

    server.play(answering(whole(b"one")), speaking)
    with asked(server) as connection:
        assert body(connection) == b"one"
        wait_for(lambda: not connection.alive())
    with asked(server) as connection:
        assert body(connection) == b"one"
        assert connection.alive()
        said.set()
        wait_for(lambda: not connection.alive())
