"""A whole answer, from the provider's bytes to the pieces: how it ends, and when it is given up."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from threading import Event
from time import monotonic, sleep

import pytest

from app.answer import Answer, Finish, Piece, Reasoning, Silence, Text
from app.config import Settings
from app.dialects import completions
from app.failure import Failure
from app.upstream import Upstream, reading
from app.upstream.account import Account
from tests.far import Far, Peer, Script
from tests.far.scripts import EVENTS, LAST, answering, chunked, holding, whole

pytestmark = pytest.mark.usefixtures("_no_leak", "_no_authorities")

SOON = 5.0
PATIENT = Settings(
    commit_seconds=SOON,
    first_event_timeout_seconds=SOON,
    idle_timeout_seconds=SOON,
    stream_timeout_seconds=2 * SOON,
    heartbeat_seconds=SOON,
    connect_timeout_seconds=SOON,
)
HELLO = {"model": "m", "messages": [{"role": "user", "content": "Hello?"}]}


def event(delta: dict[str, object] | None = None, finish_reason: str | None = None, **more: object) -> bytes:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish_reason}
    return b"data: " + json.dumps({"choices": [choice], **more}).encode() + b"\n\n"


def says(text: str) -> bytes:
    return event({"content": text})


ROLE = event({"role": "assistant", "content": ""})
STOP = event({}, "stop")
DONE = b"data: [DONE]\n\n"


@contextmanager
def asked(server: Far, settings: Settings = PATIENT) -> Iterator[Answer]:
    """Ask a question, and let go of everything afterwards."""
    with closing(Upstream(settings)) as upstream, closing(ask(upstream, server)) as answer:
        yield answer


def ask(upstream: Upstream, server: Far) -> Answer:
    return upstream.ask(Account("Groq", server.url, "key-of-the-test"), completions, "/chat/completions", HELLO)


def answer_to(server: Far, script: Script, settings: Settings = PATIENT) -> list[Piece]:
    """Read a whole answer; what is neighbouring text of several reads is joined, and silences are left out."""
    server.play(script)
    with asked(server, settings) as answer:
        pieces = [piece for batch in answer for piece in batch]
    return [Text(text_of(pieces)), *(piece for piece in pieces if not isinstance(piece, Text | Silence))]


def text_of(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces if isinstance(piece, Text))


def failure_of(server: Far, script: Script, settings: Settings = PATIENT) -> tuple[list[Piece], Failure]:
    """Read an answer that fails: what came before, and the failure."""
    server.play(script)
    before: list[Piece] = []

    def read() -> None:
        with asked(server, settings) as answer:
            for batch in answer:
                before.extend(batch)

    with pytest.raises(Failure) as failure:
        read()
    server.wait_closed()
    return before, failure.value


# What is an end.

ENDS = {
    "a reason and a marker": (chunked(ROLE, says("Hi"), STOP, DONE) + LAST, "stop"),
    "a marker alone": (chunked(says("Hi"), DONE) + LAST, "unknown"),
    "a reason alone": (chunked(says("Hi"), STOP) + LAST, "stop"),
    "a length": (whole(says("Hi") + STOP + DONE), "stop"),
    "an end by closing": (EVENTS + b"Connection: close\r\n\r\n" + says("Hi") + STOP + DONE, "stop"),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\n" + says("Hi") + STOP + DONE, "stop"),
    "more after the marker": (chunked(says("Hi"), STOP, DONE, says("EVIL")) + LAST, "stop"),
    "more in the marker's read": (whole(says("Hi") + STOP + DONE + says("EVIL") + b"data: not JSON\n\n"), "stop"),
    "a length too long": (EVENTS + b"Content-Length: 9999\r\n\r\n" + says("Hi") + STOP + DONE, "stop"),
    "a length too short": (
        EVENTS + b"Content-Length: %d\r\n\r\n" % len(says("Hi") + STOP) + says("Hi") + STOP + DONE,
        "stop",
    ),
    "garbage after the reason": (chunked(says("Hi"), STOP, b"data: oops\n\n", b"data:  \n\n<html>\n\n") + LAST, "stop"),
    "a marker with a blank": (chunked(says("Hi"), b"data: [DONE] \n\n"), "unknown"),
    "announcements before it": (
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + chunked(says("Hi"), STOP, DONE) + LAST,
        "stop",
    ),
    "a byte order mark, CRLF, comments": (
        chunked(b"\xef\xbb\xbf: hi\r\n\r\n", (says("Hi") + STOP + DONE).replace(b"\n", b"\r\n")) + LAST,
        "stop",
    ),
    "a trailer": (chunked(says("Hi"), STOP, DONE) + b"0\r\nX-A: b\r\n\r\n", "stop"),
}


@pytest.mark.parametrize(("sent", "reason"), ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("split", [False, True], ids=["at once", "byte by byte"])
def test_an_answer_ends_in_its_finish(server: Far, sent: bytes, reason: str, split: bool) -> None:  # noqa: FBT001
    parts = [bytes([byte]) for byte in sent] if split else [sent]
    assert answer_to(server, answering(*parts)) == [Text("Hi"), Finish(reason, None)]


@pytest.mark.parametrize(
    "sent", [chunked(says("Hi"), DONE), chunked(says("Hi"), STOP, DONE), whole(says("Hi") + DONE + b" ")]
)
def test_an_answer_ends_at_its_marker_on_an_open_connection(server: Far, sent: bytes) -> None:
    server.play(holding(sent))
    with asked(server) as answer:
        assert text_of([piece for batch in answer for piece in batch]) == "Hi"
        assert next(answer, None) is None
    server.wait_closed()


def test_after_its_finish_an_answer_stops(server: Far) -> None:
    server.play(answering(whole(says("Hi") + DONE)))
    with asked(server) as answer:
        assert next(answer) == [Text("Hi"), Finish("unknown", None)]
        assert next(answer, None) is None
        assert next(answer, None) is None


def test_a_usage_may_follow_the_reason(server: Far) -> None:
    usage = {"total_tokens": 8}
    last = b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n"
    assert answer_to(server, answering(chunked(says("Hi"), STOP, last, DONE) + LAST)) == [
        Text("Hi"),
        Finish("stop", usage),
    ]


def test_a_whole_completion_in_place_of_a_stream_is_an_answer(server: Far) -> None:
    message = {"role": "assistant", "content": "Hi"}
    completion = {"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    sent = whole(json.dumps(completion).encode(), b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
    assert answer_to(server, answering(sent)) == [Text("Hi"), Finish("stop", None)]


# What is not.

CUTS = {
    "no end at all": chunked(ROLE, says("Hi")) + LAST,
    "a cut in the chunks": chunked(ROLE, says("Hi")),
    "an end by closing": EVENTS + b"\r\n" + says("Hi"),
    "half an event": chunked(says("Hi"), STOP[:-1]) + LAST,
    "half a marker": chunked(says("Hi"), DONE[:-1]) + LAST,
    "half an event after the reason": chunked(says("Hi"), STOP, says("there")[:30]) + LAST,
    "one without its blank line": chunked(says("Hi"), STOP, says("there")[:-1]) + LAST,
    "a length too long": EVENTS + b"Content-Length: 9999\r\n\r\n" + says("Hi"),
    "a length too short": EVENTS + b"Content-Length: %d\r\n\r\n" % len(says("Hi")) + says("Hi") + STOP + DONE,
    "a cut after the reason": chunked(says("Hi"), STOP),
    "a reason in every chunk": chunked(event({"content": "H"}, "stop"), event({"content": "i"}, "stop")),
    "text after the reason": chunked(says("H"), STOP, says("i")) + LAST,
    "an error line before the marker": chunked(says("Hi"), b'{"oh":"no"}\n\ndata: {"oh":"no"}\n\n', DONE) + LAST,
    "a marker that is none": chunked(says("Hi"), b": [DONE]\n\n", b"event: [DONE]\n\n") + LAST,
}


HALVES = [b'data: {"error":{"message":"boom"}}\n', b'error: {"message":"boom"}\n', b'{"error":{"message":"boom"}}']


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("before", [(says("Hi"),), (says("Hi"), STOP), ()], ids=len)
def test_an_error_without_its_blank_line_is_told(server: Far, before: tuple[bytes, ...], half: bytes) -> None:
    _, failure = failure_of(server, answering(chunked(*before, half) + LAST))
    assert (failure.code, failure.message) == ("provider_error", "boom")


@pytest.mark.parametrize(
    "rest", [b": bye\n", b"data: [DON", b'data: {"choices":[],"usage":{"total_tokens":1}}\n', b"\n"]
)
def test_what_cannot_be_text_takes_no_end_back(server: Far, rest: bytes) -> None:
    pieces = answer_to(server, answering(chunked(says("Hi"), STOP, rest) + LAST))
    assert (text_of(pieces), pieces[-1]) == ("Hi", Finish("stop", None))


@pytest.mark.parametrize("sent", CUTS.values(), ids=CUTS)
def test_an_answer_that_was_cut_never_looks_finished(server: Far, sent: bytes) -> None:
    before, failure = failure_of(server, answering(sent))
    assert before == [Text("Hi")]
    assert (failure.status, failure.code) == (500, "up_truncated")
    assert "Groq" in failure.message or "provider" in failure.message


EMPTY = {
    "nothing": whole(b""),
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "HTML": whole(
        b"<html><body>\n\n<p>data: no</p>\n\n</body></html>", b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
    ),
    "JSON that is no completion": whole(b'{"status": "ok"}', b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"),
    "comments": chunked(b": hi\n\n", b": hi\n\n") + LAST,
    "events of nothing": chunked(b"event: ping\n\n", b"data:\n\n", b"data\n\n", b"\n\n") + LAST,
    "a marker": chunked(DONE) + LAST,
    "a usage and a marker": chunked(b'data: {"choices":[],"usage":{"total_tokens":8}}\n\n', DONE) + LAST,
    "odd events": chunked(b"data: null\n\n", b"data: []\n\n", b"data: 42\n\n") + LAST,
}


@pytest.mark.parametrize("sent", EMPTY.values(), ids=EMPTY)
def test_an_answer_of_nothing_is_a_failure(server: Far, sent: bytes) -> None:
    before, failure = failure_of(server, answering(sent))
    assert before == []
    assert failure.status == 500
    assert failure.code in {"up_truncated", "up_empty", "provider_error"}


BROKEN = {
    "not JSON": (chunked(b"data: oops\n\n"), "up_bad_data"),
    "not UTF-8": (chunked(b'data: {"choices":[{"delta":{"content":"\xff\xfe"}}]}\n\n'), "up_bad_data"),
    "deep": (chunked(b"data: " + b"[" * 100_000 + b"\n\n"), "up_bad_data"),
    "an error": (chunked(b'data: {"error":{"message":"boom"}}\n\n'), "provider_error"),
    "an event without end": (chunked(b"data: " + b"x" * (1200 * 1024)), "up_too_large"),
    "an event that says so": (chunked(b'event: error\ndata: {"message":"boom"}\n\n', DONE), "provider_error"),
    "an error line": (chunked(b'error: {"code":503,"message":"boom"}\n\n', DONE), "provider_overloaded"),
    "content that is none": (chunked(b'data: {"choices":[{"delta":{"content":true}}]}\n\n', STOP), "up_bad_data"),
    "junk after a reason": (chunked(STOP) + b"junk\r\n", "up_protocol"),
    "junk between chunks": (chunked(says("")) + b"junk\r\n", "up_protocol"),
}


@pytest.mark.parametrize(("sent", "code"), BROKEN.values(), ids=BROKEN)
def test_what_breaks_an_answer_comes_after_what_came_before_it(server: Far, sent: bytes, code: str) -> None:
    head, _, bodies = sent.partition(b"\r\n\r\n")
    hello = chunked(says("Hi")).partition(b"\r\n\r\n")[2]
    before, failure = failure_of(server, answering(head + b"\r\n\r\n" + hello + bodies))
    assert before == [Text("Hi")]
    assert (failure.status, failure.code) == (503 if code == "provider_overloaded" else 500, code)


def test_a_failure_in_the_read_of_good_pieces_comes_after_them(server: Far) -> None:
    before, failure = failure_of(
        server, answering(whole(says("H") + says("i") + b"data: oops\n\n" + says("EVIL") + DONE))
    )
    assert before == [Text("Hi")]
    assert failure.code == "up_bad_data"


def test_an_endless_answer_is_given_up_at_its_cap(server: Far) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(EVENTS + b"\r\n")
        while True:
            peer.send(says("x" * 16_000) * 16)

    before, failure = failure_of(server, script)
    assert failure.code == "up_too_large"
    assert 16 * 1024**2 < len(text_of(before)) <= 32 * 1024**2


@pytest.mark.parametrize("said", [says("Hi"), event({"content": "Hi"}, "stop")], ids=["text", "a reason behind it"])
def test_a_reset_before_a_confirmed_end_is_a_failure(server: Far, said: bytes) -> None:
    read = Event()

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(chunked(said))
        assert read.wait(SOON)
        peer.reset()

    server.play(script)
    with asked(server) as answer:
        assert next(answer) == [Text("Hi")]
        read.set()
        with pytest.raises(Failure) as failure:
            next(answer)
    assert failure.value.code == "up_reset"


@pytest.mark.parametrize(
    "body",
    [
        b'{"code":1001,"msg":"boom"}',
        b'[{"error":{"message":"boom"}}]',
        b'{"detail":"boom"}',
        b'"b\\u006fom"',
        b'["boom"]',
        b'{"message":"boom","asked":{"choices":[]}}',
    ],
)
def test_an_error_in_place_of_a_stream_is_told(server: Far, body: bytes) -> None:
    sent = whole(body, b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
    _, failure = failure_of(server, answering(sent))
    assert (failure.code, failure.message) == ("provider_error", "boom")


KEPT = b'data: {"choices":[{"delta":{},"message":{"content":"Hi"}}]}\n\n'
"""A message, which is told only when it is certain that no other text comes."""
BREAKS: dict[str, tuple[Script, str]] = {
    "a cut": (answering(chunked(KEPT)), "up_truncated"),
    "no end": (answering(chunked(KEPT) + LAST), "up_truncated"),
    "junk": (answering(chunked(KEPT) + b"junk\r\n"), "up_protocol"),
    "an error": (answering(chunked(KEPT, b'data: {"error":{"message":"boom"}}\n\n')), "provider_error"),
    "an error in its read": (answering(chunked(KEPT + b"data: oops\n\n")), "up_bad_data"),
    "an event without end": (answering(chunked(KEPT, b"data: " + b"x" * (1200 * 1024))), "up_too_large"),
    "nothing of use": (answering(chunked(KEPT + b": hi\n\n" * 100_001)), "up_too_large"),
    "silence": (holding(chunked(KEPT)), "up_timeout"),
}


@pytest.mark.parametrize(("script", "code"), BREAKS.values(), ids=BREAKS)
def test_what_was_kept_is_told_before_any_failure(server: Far, script: Script, code: str) -> None:
    settings = replace(PATIENT, idle_timeout_seconds=0.5) if code == "up_timeout" else PATIENT
    before, failure = failure_of(server, script, settings)
    assert (before, failure.code) == ([Text("Hi")], code)


# Refusals.


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529])
@pytest.mark.parametrize("commit", [SOON, 0.1], ids=["prompt", "late"])
def test_a_refusal_is_raised_with_its_status_and_asked_once(server: Far, status: int, commit: float) -> None:
    asked_already = Event()

    def script(peer: Peer) -> None:
        peer.request()
        assert commit == SOON or asked_already.wait(SOON)
        head = f"HTTP/1.1 {status} No\r\nContent-Type: application/json\r\nRetry-After: 7\r\n"
        peer.send(whole(b'{"error":{"message":"Boom."}}', head.encode()))
        peer.wait()

    def ask() -> None:
        with asked(server, replace(PATIENT, commit_seconds=commit)) as answer:
            assert next(answer) == [Silence()]
            asked_already.set()
            next(answer)

    server.play(script)
    with pytest.raises(Failure) as failure:
        ask()
    assert failure.value.status == status
    assert failure.value.message == (
        "Groq API Key is incorrect. Please fix it in your profile settings." if status == 401 else "Boom."
    )
    assert failure.value.headers == ({} if status == 401 else {"Retry-After": "7"})
    assert len(server.requests()) == 1


def test_a_refusal_that_has_the_question_in_it_is_told(server: Far) -> None:
    """As validators have it, for each of the fields that are wrong."""
    detail = [{"loc": ["body", "model"], "msg": "Field required", "input": {"messages": "x" * 200_000}}]
    sent = whole(json.dumps({"detail": detail}).encode(), b"HTTP/1.1 422 Oops\r\nContent-Type: application/json\r\n")
    server.play(answering(sent))
    with pytest.raises(Failure) as failure, asked(server):
        pass
    assert (failure.value.status, failure.value.message) == (422, "body.model: Field required")


def test_a_refusal_that_stalls_is_told_in_about_two_seconds(server: Far) -> None:
    server.play(holding(b"HTTP/1.1 503 No\r\nContent-Length: 9\r\n\r\nhalf"))
    started = monotonic()
    with pytest.raises(Failure) as failure, asked(server):
        pass
    assert (failure.value.status, failure.value.message) == (503, "Groq answered with status 503.")
    assert monotonic() - started < 2 + SOON


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_refused_and_not_followed(server: Far, status: int) -> None:
    server.play(holding(whole(b"", f"HTTP/1.1 {status} Moved\r\nLocation: {server.url}/elsewhere\r\n".encode())))
    with pytest.raises(Failure) as failure, asked(server):
        pass
    assert (failure.value.status, failure.value.code) == (500, "up_redirect")
    assert len(server.requests()) == 1


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"", "up_reset"),
        (b"junk", "up_protocol"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", "up_protocol"),
        (whole(b"zipped", EVENTS + b"Content-Encoding: gzip\r\n"), "up_encoding"),
    ],
    ids=["nothing", "junk", "101", "gzip"],
)
def test_a_failure_to_get_an_answer_passes_through_the_sdk(server: Far, sent: bytes, code: str) -> None:
    _, failure = failure_of(server, answering(sent))
    assert (failure.status, failure.code) == (500, code)
    assert len(server.peers) == 1


@pytest.mark.parametrize(
    "part",
    [b":\n\n", b"\n\n", b"data:\n\n", b"data:1\n\n", ROLE],
    ids=["comments", "blanks", "no data", "ones", "roles"],
)
def test_events_that_bring_nothing_are_broken_off(server: Far, monkeypatch: pytest.MonkeyPatch, part: bytes) -> None:
    monkeypatch.setattr(completions, "MAX_EVENTS_WITHOUT_A_PIECE", 1000)
    before, failure = failure_of(server, for_ever(part * 300, OPEN + says("Hi")))
    assert (text_of(before), failure.code) == ("Hi", "up_too_large")


# Time.


def never(*parts: bytes) -> Script:
    """Make a script that sends these parts and then nothing."""
    return holding(*parts)


def for_ever(part: bytes, *first: bytes) -> Script:
    """Make a script that, after the first parts, sends one part for ever."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(*first)
        while not peer.wait(0.02):
            peer.send(part)

    return script


PING = b": ping\n\n"
OPEN = EVENTS + b"\r\n"
HASTY = replace(
    PATIENT, commit_seconds=0.1, heartbeat_seconds=0.1, first_event_timeout_seconds=0.9, idle_timeout_seconds=0.7
)

GIVEN_UP: dict[str, tuple[Script, str, str]] = {
    "no headers": (never(), "", "up_timeout"),
    "half the headers": (never(EVENTS), "", "up_timeout"),
    "headers for ever": (for_ever(b"X-A: b\r\n", EVENTS), "", "up_timeout"),
    "headers alone": (never(OPEN), "", "up_timeout"),
    "comments alone": (for_ever(PING, OPEN), "", "up_timeout"),
    "a role alone": (for_ever(ROLE, OPEN), "", "up_timeout"),
    "odd events alone": (for_ever(b"data: null\n\n", OPEN), "", "up_timeout"),
    "half an event": (never(OPEN + says("Hi")[:-2]), "", "up_timeout"),
    "half an event for ever": (for_ever(b"x", OPEN + b"data: "), "", "up_timeout"),
    "text and then nothing": (never(OPEN + says("Hi")), "Hi", "up_idle"),
    "text and then comments": (for_ever(PING, OPEN + says("Hi")), "Hi", "up_idle"),
    "text and then events of nothing": (for_ever(ROLE, OPEN + says("Hi")), "Hi", "up_idle"),
    "reasoning and then nothing": (never(OPEN + event({"reasoning": "Hm"})), "", "up_idle"),
    "a chunk's extension for ever": (for_ever(b"x", chunked(says("Hi")) + b"5;a="), "Hi", "up_idle"),
}


@pytest.mark.parametrize(("script", "text", "code"), GIVEN_UP.values(), ids=GIVEN_UP)
def test_a_provider_that_says_nothing_of_use_is_given_up(server: Far, script: Script, text: str, code: str) -> None:
    started = monotonic()
    before, failure = failure_of(server, script, HASTY)
    assert (failure.status, failure.code, text_of(before)) == (500, code, text)
    assert 0.7 <= monotonic() - started < 2 * SOON
    assert before.count(Silence()) >= 2


@pytest.mark.parametrize(
    "script", [never(), never(OPEN), for_ever(PING, OPEN)], ids=["no headers", "silent", "comments"]
)
def test_silence_is_told_at_the_commit_and_each_heartbeat(server: Far, script: Script) -> None:
    server.play(script)
    started = monotonic()
    with asked(server, replace(PATIENT, commit_seconds=0.3, heartbeat_seconds=0.1)) as answer:
        assert next(answer) == [Silence()]
        assert monotonic() - started >= 0.3
        assert [next(answer) for _ in range(3)] == [[Silence()]] * 3
        assert monotonic() - started >= 0.6


def test_an_answer_that_comes_in_time_brings_no_silence(server: Far) -> None:
    server.play(answering(OPEN, says("Hi"), STOP, DONE))
    with asked(server) as answer:
        assert Silence() not in [piece for batch in answer for piece in batch]


def test_an_answer_may_go_on_after_silence(server: Far) -> None:
    steps = [Event(), Event()]

    def script(peer: Peer) -> None:
        peer.request()
        for step, part in zip(steps, (OPEN + says("H"), says("i") + DONE), strict=True):
            assert step.wait(SOON)
            peer.send(part)

    server.play(script)
    with asked(server, replace(PATIENT, commit_seconds=0.1, heartbeat_seconds=0.1)) as answer:
        for step, text in zip(steps, "Hi", strict=True):
            assert next(answer) == [Silence()]
            step.set()
            assert text_of(next(batch for batch in answer if batch != [Silence()])) == text


def test_a_whole_answer_has_an_end_however_it_goes_on(server: Far) -> None:
    settings = replace(PATIENT, stream_timeout_seconds=0.5)
    before, failure = failure_of(server, for_ever(says("Hi "), OPEN + says("Hi ") + says("Hi ")), settings)
    assert failure.code == "up_timeout"
    assert text_of(before).startswith("Hi Hi ")


def test_that_end_holds_before_the_headers_too(server: Far) -> None:
    assert failure_of(server, never(), replace(HASTY, stream_timeout_seconds=0.3))[1].code == "up_timeout"


PAUSING = replace(PATIENT, commit_seconds=0.1, heartbeat_seconds=0.1, idle_timeout_seconds=60)


@pytest.mark.parametrize("early", [STOP, event({"content": "H"}, "stop")], ids=["before any text", "with text"])
def test_text_after_a_reason_and_a_pause_is_told(server: Far, early: bytes) -> None:
    """However long the pause: here until the third heartbeat of silence."""
    paused = Event()

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(OPEN, early)
        assert paused.wait(SOON)
        peer.send(says("i") + STOP + DONE)

    server.play(script)
    found: list[Piece] = []
    with asked(server, PAUSING) as answer:
        for batch in answer:
            found += batch
            if found.count(Silence()) == 3:
                paused.set()
    assert text_of(found) == ("Hi" if b"H" in early else "i")
    assert found[-1] == Finish("stop", None)


@pytest.mark.parametrize("after", [never, lambda *first: for_ever(PING, *first)], ids=["nothing", "comments"])
def test_a_reason_that_nothing_confirms_in_time_is_no_end(server: Far, after: Callable[..., Script]) -> None:
    before, failure = failure_of(server, after(OPEN + says("Hi") + STOP), HASTY)
    assert (text_of(before), failure.code) == ("Hi", "up_idle")


def test_no_provider_is_given_up_because_its_reader_is_slow(server: Far) -> None:
    go_on, sent = Event(), Event()

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(OPEN + says("H"))
        assert go_on.wait(SOON)
        peer.send(says("i") + DONE)
        sent.set()
        peer.wait()

    server.play(script)
    with asked(server, replace(PATIENT, idle_timeout_seconds=0.2)) as answer:
        assert next(answer) == [Text("H")]
        go_on.set()
        assert sent.wait(SOON)
        sleep(0.5)
        assert next(answer) == [Text("i"), Finish("unknown", None)]


# Reads.


def test_one_read_brings_one_batch_with_neighbouring_text_joined(server: Far) -> None:
    steps = [Event(), Event()]

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(OPEN)
        thinks = event({"reasoning": "Hm"})
        for step, part in zip(steps, (thinks + thinks + says("a") + says("b"), says("c") + STOP + DONE), strict=True):
            assert step.wait(SOON)
            peer.send(part)

    server.play(script)
    with asked(server) as answer:
        for step, batch in zip(
            steps, ([Reasoning("HmHm"), Text("ab")], [Text("c"), Finish("stop", None)]), strict=True
        ):
            step.set()
            assert next(answer) == batch


def test_closing_an_answer_closes_its_connection_at_once(server: Far) -> None:
    server.play(never(OPEN + says("Hi")))
    with asked(server) as answer:
        assert next(answer) == [Text("Hi")]
        answer.close()
        answer.close()
        server.wait_closed()


@pytest.mark.parametrize("pause", [0, 0.02], ids=["all at once", "the last chunk by itself"])
def test_a_finished_answer_leaves_its_connection_for_the_next(
    server: Far, monkeypatch: pytest.MonkeyPatch, pause: float
) -> None:
    monkeypatch.setattr(reading, "SETTLE_SECONDS", SOON)  # this machine may be slow

    def script(peer: Peer) -> None:
        for _ in range(2):
            peer.request()
            peer.send(chunked(says("Hi"), STOP, DONE))
            sleep(pause)
            peer.send(LAST)
        peer.wait()

    server.play(script)
    with closing(Upstream(PATIENT)) as upstream:
        for _ in range(2):
            with closing(ask(upstream, server)) as answer:
                assert text_of([piece for batch in answer for piece in batch]) == "Hi"
    assert len(server.peers) == 1
    assert len(server.requests()) == 2
