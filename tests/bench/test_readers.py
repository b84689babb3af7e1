"""What the benchmark takes from the three forms of an answer."""

import pytest

from bench.load import Reply
from bench.readers import Reading, completions, plain, ui

NOTE = b"\n\n[This answer is incomplete. The connection to OpenAI was lost.]\n"
WORD = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
DELTA = b'data: {"type":"text-delta","id":"0","delta":"Hi"}\r\n\r\n'
FINISH, ERROR = b'data: {"type":"finish"}\n\n', b'data: {"type":"error","errorText":"Cut."}\n\n'
DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("body", "clean", "reading"),
    [
        (b"Hi", True, Reading("Hi", ended=True, failed=False)),
        (b"Hi", False, Reading("Hi", ended=False, failed=False)),
        (b"Hi" + NOTE, False, Reading("Hi", ended=False, failed=True)),
        (b"Hi" + NOTE, True, Reading("Hi", ended=False, failed=True)),
    ],
)
def test_a_text_ends_with_its_body_and_fails_by_its_note(body: bytes, *, clean: bool, reading: Reading) -> None:
    assert plain(Reply(clean=clean, parts=[body])) == reading


@pytest.mark.parametrize(
    ("body", "reading"),
    [
        (WORD + DONE, Reading("Hi", ended=True, failed=False)),
        (WORD, Reading("Hi", ended=False, failed=False)),
        (WORD + DONE[:-1], Reading("Hi", ended=False, failed=False)),
        (WORD + b'data: {"error":{"message":"Cut."}}\n\n', Reading("Hi", ended=False, failed=True)),
    ],
)
def test_completions_end_with_done_and_fail_by_an_error(body: bytes, reading: Reading) -> None:
    assert completions(Reply(clean=True, parts=[body])) == reading


@pytest.mark.parametrize(
    ("body", "reading"),
    [
        (DELTA + FINISH + DONE, Reading("Hi", ended=True, failed=False)),
        (DELTA + FINISH, Reading("Hi", ended=True, failed=False)),
        (DELTA + DONE, Reading("Hi", ended=True, failed=False)),
        (DELTA + ERROR, Reading("Hi", ended=False, failed=True)),
        (DELTA + ERROR + FINISH + DONE, Reading("Hi", ended=True, failed=True)),
        (DELTA, Reading("Hi", ended=False, failed=False)),
    ],
)
def test_a_ui_stream_ends_with_finish_and_fails_by_an_error(body: bytes, reading: Reading) -> None:
    assert ui(Reply(clean=True, parts=[body])) == reading
