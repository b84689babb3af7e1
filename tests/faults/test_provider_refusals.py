"""Providers that refuse: their status is kept, their words are cleaned, and nobody insists."""

import json
import re
from threading import Event

import pytest

from tests.far import Far, Peer, Script
from tests.far.scripts import ANSWER, CHUNKED, LAST, chunk, event, ok, replying, sending, streaming
from tests.faults import expect
from tests.faults.expect import Course
from tests.faults.sluice import COMMIT, FIRST_EVENT, KEYS, SECONDS, SOON, Sluice

HTML = b"<html><body><h1>It is broken, says nginx</h1></body></html>"
KEY = KEYS["OPENAI_API_KEY"]
REMEDIES = {
    "environment": "Whoever runs this service has to fix it.",
    "profile": "Please fix it in your profile settings.",
}
"""Who can mend a wrong key, by whose it is."""


def says(message: str, **more: str) -> bytes:
    """Write the error body of an OpenAI-shaped provider."""
    return json.dumps({"error": {"message": message, **more}}).encode()


@pytest.mark.parametrize(
    ("status", "body", "code", "told"),
    [
        pytest.param(400, says("Bad temperature."), "provider_bad_request", "Bad temperature.", id="U34"),
        pytest.param(400, says(f"Key {KEY}!"), "provider_bad_request", "Key [key]!", id="U34-whole-key"),
        pytest.param(400, says("Key sk-5ZHQn***pYxy"), "provider_bad_request", "Key [key]", id="U34-half-a-key"),
        pytest.param(400, says("One\r\n\x1b[31mtwo"), "provider_bad_request", "One [31mtwo", id="U34-control"),
        pytest.param(400, says("x" * 1_000_000), "provider_bad_request", None, id="U34-a-megabyte"),
        pytest.param(403, says("Not in your country."), "provider_denied", "Not in your country.", id="U36-403"),
        pytest.param(404, says("No such model."), "provider_bad_request", "No such model.", id="U36-404"),
        pytest.param(409, says("A conflict there."), "provider_bad_request", "A conflict there.", id="U36-409"),
        pytest.param(422, says("Extra inputs."), "provider_bad_request", "Extra inputs.", id="U36-422"),
        pytest.param(408, says("You were slow."), "provider_bad_request", "You were slow.", id="U37-408"),
        pytest.param(413, HTML, "provider_too_large", None, id="U38-413-html"),
        pytest.param(
            429, says("Pay first.", code="insufficient_quota"), "provider_quota", "Pay first.", id="U40-no-money"
        ),
        pytest.param(
            400,
            says("The context is 8192 tokens.", code="context_length_exceeded"),
            "provider_bad_request",
            "The context is 8192 tokens.",
            id="U55-long-prompt",
        ),
    ],
)
def test_a_refusal_keeps_its_status_and_its_words(
    sluice: Sluice, model: str, mode: str, status: int, body: bytes, code: str, told: str | None
) -> None:
    seen = sluice.ask(model, mode, replying(status, body))
    shown = expect.refusal(sluice, seen, status, code, Course(status))
    assert told is None or shown["message"] == told
    assert len(shown["message"]) <= 500
    assert not set(shown["message"]) & set("<>\x1b\r\n")
    assert "retry-after" not in seen.headers


@pytest.mark.parametrize("body", [pytest.param(says("Wrong key."), id="U35-json"), pytest.param(HTML, id="U35-html")])
@pytest.mark.parametrize(("provider", "label"), [("openai", "OpenAI"), ("groq", "Groq"), ("mistral", "Mistral")])
def test_a_wrong_key_is_named(sluice: Sluice, model: str, provider: str, label: str, mode: str, body: bytes) -> None:
    seen = sluice.ask(model, mode, replying(401, body), provider=provider)
    shown = expect.refusal(sluice, seen, 401, "provider_auth", Course(401))
    assert shown["message"] == f"{label} API Key is incorrect. {REMEDIES[sluice.source_for(provider)]}"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param(says("Our engineers know."), "application/json", id="U41-json"),
        pytest.param(HTML, "text/html", id="U41-html"),
        pytest.param(b"", "text/plain", id="U41-empty"),
    ],
)
@pytest.mark.parametrize("status", [500, 502, 503, 504, 529])
def test_a_provider_in_trouble_keeps_its_status_but_not_its_page(
    sluice: Sluice, model: str, mode: str, status: int, body: bytes, kind: str
) -> None:
    seen = sluice.ask(model, mode, replying(status, body, "Retry-After: 30", kind=kind))
    code = "provider_overloaded" if status in (503, 529) else "provider_error"
    shown = expect.refusal(sluice, seen, status, code, Course(status))
    assert shown["message"] == (
        "Our engineers know." if "json" in kind else f"The server at 127.0.0.1 answered with status {status}."
    )
    assert seen.headers["retry-after"] == "30"


@pytest.mark.parametrize(
    "location", ["/v1/elsewhere", "{far}/elsewhere", "http://another.test/", "/v1/chat/completions"]
)
@pytest.mark.parametrize("status", [pytest.param(status, id=f"U33-{status}") for status in (301, 302, 303, 307, 308)])
def test_a_redirect_is_neither_followed_nor_shown(
    sluice: Sluice, far: Far, model: str, mode: str, status: int, location: str
) -> None:
    """The request carries a key."""
    where = location.format(far=far.url)
    seen = sluice.ask(model, mode, replying(status, b"", f"Location: {where}"), ok)
    expect.refusal(sluice, seen, 500, "up_redirect", Course(status))
    assert "location" not in seen.headers
    assert where.encode() not in seen.body


LATE = [
    # row, status, body, Retry-After, code
    ("U34", 400, says("Bad temperature."), "", "provider_bad_request"),
    ("U35", 401, says("Wrong key."), "", "provider_auth"),
    ("U36", 403, HTML, "", "provider_denied"),
    ("U37", 408, says("You were slow."), "", "provider_bad_request"),
    ("U38", 413, HTML, "", "provider_too_large"),
    ("U39", 429, says("Slow down."), "Retry-After: 0", "provider_rate_limited"),
    ("U40", 429, says("Pay first.", code="insufficient_quota"), "", "provider_quota"),
    ("U41", 503, HTML, "Retry-After: 1", "provider_overloaded"),
    ("U55", 400, says("The context is 8192 tokens."), "", "provider_bad_request"),
    ("U33", 307, b"", "Location: /v1/elsewhere", "up_redirect"),
]


def test_a_refusal_behind_our_own_headers_is_a_cut_and_no_reason_to_ask_again(
    hasty: Sluice, model: str, mode: str
) -> None:
    """All at once, as each waits for the headers to go out."""
    go_on = Event()

    def late(script: Script) -> Script:
        def wait(peer: Peer) -> None:
            assert go_on.wait(SECONDS)
            script(peer)

        return wait

    calls = []
    for row, status, body, header, _ in LATE:
        hasty.far.script(f"{model}-{row}", late(replying(status, body, *filter(None, [header]))))
        calls.append(hasty.start(f"{model}-{row}", mode))
    for call in calls:
        call.begin()
    go_on.set()
    for call, (_, status, _, _, code) in zip(calls, LATE, strict=True):
        expect.broken(hasty, call.finish(), code, "", Course(status, window=(COMMIT, FIRST_EVENT)))


@pytest.mark.parametrize(
    ("status", "code"), [(429, "provider_rate_limited"), (503, "provider_overloaded"), (529, "provider_overloaded")]
)
@pytest.mark.parametrize(
    ("headers", "attempts", "kept"),
    [
        pytest.param([], 1, None, id="U39-says-nothing"),
        pytest.param(["Retry-After: 20"], 1, "20", id="U39-much-later"),
        pytest.param(["Retry-After: soon"], 1, None, id="U39-nonsense"),
        pytest.param(["Retry-After: 0"], 2, "0", id="U39-at-once"),
    ],
)
def test_a_busy_provider_is_asked_again_once_and_only_if_that_is_soon(
    sluice: Sluice, model: str, mode: str, status: int, code: str, headers: list[str], attempts: int, kept: str | None
) -> None:
    seen = sluice.ask(model, mode, replying(status, says("I am busy."), *headers))
    expect.refusal(sluice, seen, status, code, Course(status, attempts, attempts))
    assert seen.headers.get("retry-after") == kept


@pytest.mark.parametrize("seconds", [pytest.param(0, id="U39-0"), pytest.param(1, id="U39-1")])
@pytest.mark.parametrize("status", [429, 503, 529])
def test_a_busy_provider_s_second_answer_is_the_answer(
    sluice: Sluice, model: str, mode: str, status: int, seconds: int
) -> None:
    seen = sluice.ask(model, mode, replying(status, says("I am busy."), f"Retry-After: {seconds}"), ok)
    expect.answer(sluice, seen, ANSWER, Course(200, 2, 2, (seconds, seconds + SOON)))
    first, second = sluice.far.asked(model)
    assert second.at - first.at >= seconds - 0.01
    assert first.body == second.body


@pytest.mark.parametrize(
    "status", [pytest.param(status, id=f"U41-{status}") for status in (400, 408, 409, 500, 502, 504)]
)
def test_nothing_else_is_asked_again(sluice: Sluice, model: str, mode: str, status: int) -> None:
    seen = sluice.ask(model, mode, replying(status, says("Try again."), "Retry-After: 0"), ok)
    code = "provider_bad_request" if status < 500 else "provider_error"
    expect.refusal(sluice, seen, status, code, Course(status))


WHOLE_JSON = json.dumps({"choices": [{"message": {"content": ANSWER}, "finish_reason": "stop"}]}).encode()


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        pytest.param(HTML, "text/html", "up_empty", id="U43-html"),
        pytest.param(b"", "text/event-stream", "up_empty", id="U43-empty"),
        pytest.param(WHOLE_JSON[:-9], "application/json", "up_bad_data", id="U43-half-a-json"),
    ],
)
def test_what_is_no_stream_is_an_error_even_under_200(
    sluice: Sluice, model: str, mode: str, body: bytes, kind: str, code: str
) -> None:
    seen = sluice.ask(model, mode, replying(200, body, kind=kind))
    shown = expect.refusal(sluice, seen, 500, code, Course(200))
    assert "nginx" not in shown["message"]


BLANK = b"{\n\n" + WHOLE_JSON[1:].replace(b", ", b",\n\n\n")
"""In a stream, a blank line is the end of an event."""


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(WHOLE_JSON, id="U43-json"),
        pytest.param(WHOLE_JSON + b"\n", id="U43-json-and-a-line"),
        pytest.param(WHOLE_JSON + b"\n\n", id="U43-json-and-a-blank-line"),
        pytest.param(WHOLE_JSON + b"\r\n\r\n\r\n", id="U43-json-and-blank-lines"),
        pytest.param(b"\n\n" + WHOLE_JSON, id="U43-a-blank-line-and-json"),
        pytest.param(BLANK, id="U43-json-with-blank-lines"),
        pytest.param(BLANK + b"\n\n", id="U43-json-with-blank-lines-all-over"),
    ],
)
@pytest.mark.parametrize("size", [16 * 1024, 7], ids=["at once", "in pieces"])
def test_a_whole_completion_in_place_of_a_stream_is_taken(
    sluice: Sluice, model: str, mode: str, body: bytes, size: int
) -> None:
    parts = [chunk(body[start : start + size]) for start in range(0, len(body), size)]
    head = CHUNKED.replace(b"text/event-stream", b"application/json")
    seen = sluice.ask(model, mode, sending(head, *parts, LAST))
    expect.answer(sluice, seen, ANSWER)


OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded, they say."}}

REPORTED = [
    pytest.param(event(error={"message": f"Out of luck with {KEY}."}), 500, "provider_error", id="U44-object"),
    pytest.param(event(error="Out of luck."), 500, "provider_error", id="U44-string"),
    pytest.param(event(error={"message": "Out of luck.", "code": 503}), 503, "provider_overloaded", id="U44-503"),
    pytest.param(event(error={"message": "Out of luck.", "code": "429"}), 429, "provider_rate_limited", id="U44-429"),
    pytest.param(b"event: error\ndata: %b\n\n" % json.dumps(OVERLOADED).encode(), 500, "provider_error", id="U45"),
]


@pytest.mark.parametrize(("frame", "status", "code"), REPORTED)
def test_an_error_that_comes_first_in_the_stream_is_the_answer(
    sluice: Sluice, model: str, mode: str, frame: bytes, status: int, code: str
) -> None:
    seen = sluice.ask(model, mode, streaming(frame))
    shown = expect.refusal(sluice, seen, status, code, Course(200))
    assert re.fullmatch(r"Out of luck( with \[key\])?\.|Overloaded, they say\.", shown["message"])


@pytest.mark.parametrize(("frame", "status", "code"), REPORTED)
def test_an_error_in_mid_stream_cuts_the_answer(
    sluice: Sluice, model: str, mode: str, frame: bytes, status: int, code: str
) -> None:
    seen = sluice.ask(model, mode, streaming(event(choices=[{"delta": {"content": ANSWER}}]), frame))
    told = expect.broken(sluice, seen, code, ANSWER)
    assert mode == "text" or re.fullmatch(r"Out of luck( with \[key\])?\.|Overloaded, they say\.", told)
