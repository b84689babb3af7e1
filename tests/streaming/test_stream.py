"""One chat's stream: what its record has, however the chat ends."""

import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from app.config import Settings
from app.dialects import completions
from app.protocols import chatbot_ui
from app.record import Record
from app.streaming import Stream, Streams
from app.upstream import Upstream
from app.upstream.account import Account
from tests.far import Far, Script
from tests.far.scripts import CHUNKED, DONE, LAST, chunk, delta, event, sending, stop
from tests.far.scripts import closing as cutting

SOON = 10.0
SETTINGS = Settings(commit_seconds=SOON, first_event_timeout_seconds=SOON, idle_timeout_seconds=SOON)
USAGE = {"total_tokens": 8}
HELLO: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello?"}]}
BEGUN = CHUNKED + chunk(delta("Hi"), event(choices=[], usage=USAGE))
"""Two events, which come in one read."""


@pytest.fixture
def far() -> Iterator[Far]:
    with Far() as running:
        yield running


@contextmanager
def answered(far: Far, script: Script, sink: Callable[[Record], None]) -> Iterator[tuple[Stream, socket.socket]]:
    """Ask; give the stream as a server has it, and the client's end of the connection."""
    far.script("m", script)
    server, client = socket.socketpair()
    with server, client, closing(Upstream(SETTINGS)) as upstream:
        with Stream() as stream:
            record = stream.hold(Record("id", "groq", [sink]))
            watch = stream.hold(Streams(SETTINGS).slot({"gunicorn.socket": server, "wsgi.multithread": True}))
            watch.start()
            answer = upstream.ask(
                Account("Groq", far.url, "key-of-the-test"),
                completions,
                "/chat/completions",
                HELLO,
                wait=watch.wait,
                trace=record.trace,
            )
            stream.hold(closing(answer))
            stream.respond(answer, chatbot_ui.frames, watch, record)
        yield stream, client


def leave_before_a_write(_: Stream, __: socket.socket) -> None:
    """Let the server close a response that it has not begun to write."""


def leave_during_a_write(stream: Stream, _: socket.socket) -> None:
    assert next(iter(stream)) == b"Hi"


def leave_in_silence(stream: Stream, client: socket.socket) -> None:
    assert next(iter(stream)) == b"Hi"
    client.close()
    with pytest.raises(ConnectionResetError):
        next(iter(stream))


def read_whole(stream: Stream, _: socket.socket) -> None:
    assert b"".join(stream) == b"Hi"


def read_cut(stream: Stream, _: socket.socket) -> None:
    with pytest.raises(ConnectionResetError):
        b"".join(stream)


ENDS = [
    (leave_before_a_write, sending(BEGUN), "client_gone", 2),
    (leave_during_a_write, sending(BEGUN), "client_gone", 2),
    (leave_in_silence, sending(BEGUN), "client_gone", 2),
    (read_cut, cutting(BEGUN), "up_truncated", 2),
    (read_whole, sending(BEGUN + chunk(stop(), DONE) + LAST), "ok", 4),
]


@pytest.mark.parametrize(
    ("end", "script", "outcome", "events"), ENDS, ids=[end.__name__.replace("_", " ") for end, *_ in ENDS]
)
def test_a_record_has_the_figures_however_a_chat_ends(
    far: Far, end: Callable[[Stream, socket.socket], None], script: Script, outcome: str, events: int
) -> None:
    """They are noted before the sinks see the record, also where the answer's own generators are closed later."""
    records: list[object] = []

    def sink(record: Record) -> None:
        records.append((record.outcome, record.trace.events, record.trace.usage))

    with answered(far, script, sink) as (stream, client), closing(stream):
        end(stream, client)
    assert records == [(outcome, events, USAGE)]
