"""How an answer may end, down to the bytes, each with its one record in the log."""

from typing import Any, NamedTuple

from app.failure import Code
from tests.faults.sluice import SOON, Seen, Sluice
from tests.machine import slack


class Course(NamedTuple):
    """What happened on the way: the provider's status, how often it was tried, what reached it, how long it took.

    The window's end is that of a quiet machine.
    """

    upstream: int | None = 200
    attempts: int = 1
    asked: int = 1
    window: tuple[float, float] = (0, SOON)


AS_USUAL = Course()


def refusal(sluice: Sluice, seen: Seen, status: int, code: str, course: Course) -> dict[str, Any]:
    """The answer is an error in JSON, before anything else was sent; return its body."""
    body = seen.json()
    assert (seen.status, body["code"]) == (status, code), body
    assert seen.whole
    assert set(body) == {"message", "code", "requestId"}
    assert len(body["message"]) >= 5
    assert body["requestId"] == seen.request_id
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["cache-control"] == "no-store"
    assert seen.headers["x-content-type-options"] == "nosniff"
    _record(sluice, seen, code, course)
    return body


def broken(sluice: Sluice, seen: Seen, code: str, text: str, course: Course = AS_USUAL) -> str:
    """The answer has begun with this text, and shows that it was cut; return the sentence that says why.

    Text: the sentence, in brackets, and the connection ends without the last chunk. SSE: an error event with this code,
    no success after it, and then the protocol's own end, which is the last chunk.
    """
    assert_streamed(seen)
    _record(sluice, seen, code, course)
    if seen.mode == "text":
        assert not seen.whole
        assert not seen.raw.endswith(b"0\r\n\r\n")
        return note(seen.text(), text)
    assert seen.text() == text
    assert seen.whole
    *_, data, error = seen.parts()
    assert (data["type"], data["data"]["code"]) == ("data-error", code)
    assert error == {"type": "error", "errorText": data["data"]["message"]}
    assert not {"finish", "finish-step", "text-end"} & {part["type"] for part in seen.parts()}
    assert b"[DONE]" not in seen.body
    return str(error["errorText"])


def answer(sluice: Sluice, seen: Seen, text: str, course: Course = AS_USUAL, reason: str = "stop") -> None:
    """The answer is whole, and exactly this text."""
    assert_streamed(seen)
    assert seen.whole, bytes(seen.raw)[-500:]
    if seen.mode == "text" and reason in SHORT:
        assert note(seen.text(), text) == SHORT[reason]
    else:
        assert seen.text() == text
    _record(sluice, seen, "ok", course)
    if seen.mode == "sse":
        assert seen.body.endswith(b"data: [DONE]\n\n")
        assert seen.parts()[-1]["type"] == "finish"
        assert seen.parts()[-1]["messageMetadata"]["finishReason"] == reason


SHORT = {"length": "It reached the limit of its length.", "content_filter": "A content filter stopped it."}
"""What a plain text says of an answer that the provider ended with such a reason."""


def note(told: str, text: str) -> str:
    """Return the sentence that plain text ends in, on a line of its own behind the answer's text."""
    said, _, sentence = told.rpartition("[This answer is incomplete. ")
    assert said == (f"{text}\n" if text.endswith("\n") else f"{text}\n\n" if text else "")
    assert sentence.endswith("]")
    assert "\n" not in sentence
    return sentence[:-1]


def assert_streamed(seen: Seen) -> None:
    """The head is that of a stream, which no proxy should hold back or keep."""
    assert seen.status == 200, bytes(seen.raw)
    kind = {"text": "text/plain; charset=utf-8", "sse": "text/event-stream"}[seen.mode]
    assert seen.headers["content-type"] == kind
    assert seen.headers["transfer-encoding"] == "chunked"
    assert seen.headers["x-accel-buffering"] == "no"
    assert seen.headers["cache-control"] == "no-store, no-transform"


def _record(sluice: Sluice, seen: Seen, outcome: str, course: Course) -> None:
    """The log has one record, which agrees with what client and provider saw; and it took as long as it should."""
    low, high = course.window
    assert low - 0.05 <= seen.took <= low + (high - low) * slack(), seen.took
    assert len(sluice.far.asked(seen.model)) == course.asked
    record = sluice.record(seen.request_id)
    told = {name: record[name] for name in ("outcome", "status", "upstreamStatus", "attempts")}
    expected = {"outcome": outcome, "status": seen.status, "upstreamStatus": course.upstream}
    assert told == expected | {"attempts": course.attempts}, record
    assert (record["provider"], record["model"], record["mode"]) == (seen.provider, seen.model, seen.mode)
    assert record["keySource"] == sluice.source_for(seen.provider)
    assert record["bytesOut"] == (len(seen.body) if seen.status == 200 else 0)  # an error's body is no answer
    assert low * 1000 - 50 <= record["durationMs"] <= (seen.took + 0.25 * slack()) * 1000
    assert record["ttftMs"] is None or 0 <= record["ttftMs"] <= record["durationMs"]
    spoken = seen.text().partition("[This answer is incomplete.")[0] if seen.status == 200 else ""
    assert record["ttftMs"] is not None or not spoken
    assert outcome in set(Code) | {"ok"}
