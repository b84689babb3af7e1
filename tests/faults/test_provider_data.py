"""What a provider sends in its events: broken beyond use, or only odd."""

import json

import pytest

from tests.far import Peer, Script
from tests.far.scripts import ANSWER, CHUNKED, DONE, LAST, chunk, closing, delta, event, sending, stop, streaming
from tests.faults import expect
from tests.faults.expect import Course
from tests.faults.sluice import KEYS, Sluice

GARBAGE = b"\x00\x00\xff\xfe\nno colon\nunknown: field\nid: 7\nretry: 1\nevent: odd\n: comment\n:\n\n\n\n\x00\n\n"
SCRIPTS = (
    "na\u00efve \u00a9 \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35 \u6f22\u5b57 \U0001f468\u200d\U0001f469\u200d\U0001f467"
)
END = stop() + DONE

UNUSABLE = [
    pytest.param(b'data: {"choices": [\n\n', id="U21-not-json"),
    pytest.param(b"data: <html>\n\n", id="U21-html"),
    pytest.param(b'data: {"choices":[{"delta":{"content":"\xff\xfe"}}]}\n\n', id="U24-not-utf-8"),
    pytest.param(b'data: {"choices":' + b"[" * 100_000 + b"\n\n", id="U31-deep-and-open"),
    pytest.param(b'data: {"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n\n", id="U31-deep-and-closed"),
    pytest.param(b'data: {"choices":[{"delta":{"content":' + b"9" * 5000 + b"}}]}\n\n", id="U31-5000-digits"),
    pytest.param(delta({"a": 1}), id="U30-content-of-no-known-shape"),
    pytest.param(delta([True]), id="U30-content-with-a-boolean"),
]


@pytest.mark.parametrize("unusable", UNUSABLE)
def test_an_event_that_cannot_be_read_first_is_an_error(sluice: Sluice, model: str, mode: str, unusable: bytes) -> None:
    """What would follow it could be read, and would look like a whole answer."""
    seen = sluice.ask(model, mode, streaming(unusable, delta(), END))
    expect.refusal(sluice, seen, 500, "up_bad_data", Course(200))


@pytest.mark.parametrize("unusable", UNUSABLE)
def test_an_event_that_cannot_be_read_cuts_the_answer(sluice: Sluice, model: str, mode: str, unusable: bytes) -> None:
    seen = sluice.ask(model, mode, streaming(delta(), unusable, delta(), END))
    expect.broken(sluice, seen, "up_bad_data", ANSWER)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(GARBAGE, "up_empty", id="U20-garbage-only"),
        pytest.param(b"data: 42\n\ndata: null\n\n", "up_truncated", id="U30-nothing-usable"),
    ],
)
def test_noise_alone_is_no_answer(sluice: Sluice, model: str, mode: str, body: bytes, code: str) -> None:
    seen = sluice.ask(model, mode, streaming(body))
    expect.refusal(sluice, seen, 500, code, Course(200))


ODD = [b"null", b"[]", b'"s"', b"42", b"true", b"{}", b'{"choices": null}', b'{"choices": []}', b'{"choices": [null]}']
DELTAS: list[object] = [
    None,
    [],
    {},
    {"content": None},
    {"content": {}},
    {"content": [None, [], ""]},
]
SHAPES = [0.005, 42, ["a", {"type": "output_text", "text": "b"}, 7], {"type": "text", "text": "c"}]
NAN = b'data: {"choices":[{"delta":{"content":"%b"},"logprobs":{"content":[NaN,-Infinity]}}]}\n\n' % ANSWER.encode()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        pytest.param(GARBAGE + delta() + GARBAGE + END, ANSWER, id="U20-garbage-between"),
        pytest.param(delta("\ud83d") + delta("\ude00") + END, "\U0001f600", id="U26-halves-of-a-pair"),
        pytest.param(delta("a\ud83d") + delta("b") + END, "a\ufffdb", id="U26-high-half-alone"),
        pytest.param(delta("a\ude00") + delta("b") + END, "a\ufffdb", id="U26-low-half-alone"),
        pytest.param(delta("a\ud83d") + END, "a\ufffd", id="U26-high-half-at-the-end"),
        pytest.param((delta(SCRIPTS) + END).replace(b"\n", b"\r\n"), SCRIPTS, id="U28-crlf"),
        pytest.param((delta(SCRIPTS) + END).replace(b"\n", b"\r"), SCRIPTS, id="U28-cr"),
        pytest.param(
            b"data:" + json.dumps(json.loads(delta(SCRIPTS)[6:]), indent=1).encode().replace(b"\n", b"\ndata:")
            + b"\n\n" + END,
            SCRIPTS,
            id="U28-data-over-many-lines",
        ),
        pytest.param(b"\xef\xbb\xbf" + delta() + END, ANSWER, id="U29-byte-order-mark"),
        pytest.param(b"".join(b"data: %b\n\n" % odd for odd in ODD) + delta() + END, ANSWER, id="U30-odd-events"),
        pytest.param(
            b"".join(event(choices=[{"delta": odd}]) for odd in DELTAS) + delta() + END, ANSWER, id="U30-odd-deltas"
        ),
        pytest.param(
            b"".join(map(delta, ["$", *SHAPES])) + event(choices=[{"text": "d"}, 0]) + END, "$0.00542ab7cd",
            id="U30-content-of-any-shape",
        ),
        pytest.param(
            delta() + event(choices=[{"delta": {}, "message": {"content": ANSWER}}]) + END, ANSWER,
            id="U30-a-message-beside-the-deltas",
        ),
        pytest.param(
            delta() + stop() + GARBAGE + b"data: oops\n\ndata:  \n\n" + DONE, ANSWER, id="U20-garbage-at-the-end"
        ),
        pytest.param(delta() + stop() + b"data: [DONE] \n\n", ANSWER, id="U20-a-marker-with-a-blank"),
        pytest.param(NAN + END, ANSWER, id="U31-nan-beside-the-text"),
    ],
)  # fmt: skip
def test_what_is_only_odd_is_read_to_the_letter(sluice: Sluice, model: str, mode: str, body: bytes, text: str) -> None:
    seen = sluice.ask(model, mode, streaming(body))
    expect.answer(sluice, seen, text)


COUNTS = {"prompt_tokens": 3, "total_tokens": 8, "cost": 0.0015, "prompt_tokens_details": {"cached_tokens": 1}}
KEY = KEYS["OPENAI_API_KEY"]


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param({}, id="U30-usage"),
        pytest.param({"total": "8", "models": ["m"], "cached": True, "none": None}, id="U30-usage-without-numbers"),
        pytest.param({"echo": KEY, KEY: 1, "details": {"echo": KEY, KEY: 1}}, id="U30-usage-with-the-key"),
        pytest.param(json.loads('{"a":' * 200 + "1" + "}" * 200), id="U30-usage-nested"),
    ],
)
def test_of_a_usage_only_the_numbers_are_told(sluice: Sluice, model: str, mode: str, odd: dict[str, object]) -> None:
    end = event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}], usage={**odd, **COUNTS})
    seen = sluice.ask(model, mode, streaming(delta(), end, DONE))
    expect.answer(sluice, seen, ANSWER)
    assert sluice.record(seen.request_id)["usage"] == COUNTS
    if mode == "sse":
        assert seen.parts()[-1]["messageMetadata"]["usage"] == COUNTS


def _raw(text: str) -> bytes:
    """Write an event whose text is UTF-8, not escapes."""
    return b"data: " + json.dumps({"choices": [{"delta": {"content": text}}]}, ensure_ascii=False).encode() + b"\n\n"


WHOLE = CHUNKED + chunk(_raw(SCRIPTS), END) + LAST
TRAILERS = CHUNKED.replace(b"\r\n\r\n", b"\r\nTrailer: X-Sum\r\n\r\n")


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(
            [CHUNKED, *(chunk(bytes([byte])) for byte in _raw(SCRIPTS) + END), LAST], id="U25-bytewise-chunks"
        ),
        pytest.param([CHUNKED, b"".join(chunk(bytes([byte])) for byte in _raw(SCRIPTS) + END), LAST], id="U25-at-once"),
        pytest.param([bytes([byte]) for byte in WHOLE], id="U27-bytewise-segments"),
        pytest.param([b"HTTP/1.1 100 Continue\r\n\r\n", WHOLE], id="U50-100-continue"),
        pytest.param([b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 2, WHOLE], id="U50-103-early-hints"),
        pytest.param([TRAILERS, chunk(_raw(SCRIPTS), END), b"0\r\nX-Sum: 1\r\n\r\n"], id="U50-trailers"),
    ],
)
def test_the_text_does_not_depend_on_how_its_bytes_travel(
    sluice: Sluice, model: str, mode: str, parts: list[bytes]
) -> None:
    def script(peer: Peer) -> None:
        peer.send(*parts[:-1])
        peer.send_last(parts[-1])

    seen = sluice.ask(model, mode, script)
    expect.answer(sluice, seen, SCRIPTS)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(closing(b"\x16\x03\x01 what is this"), id="U48-no-http"),
        pytest.param(closing(delta() + END), id="U48-http-0.9"),
        pytest.param(sending(b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 200_000 + b"\r\n\r\n"), id="U48-long-header"),
        pytest.param(sending(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 25_000 + b"\r\n"), id="U48-many-headers"),
    ],
)
def test_what_is_not_http_is_an_error(sluice: Sluice, model: str, mode: str, script: Script) -> None:
    seen = sluice.ask(model, mode, script)
    expect.refusal(sluice, seen, 500, "up_protocol", Course(None))
