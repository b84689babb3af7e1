"""Bytes -> pieces: whatever a provider sends, and however the network splits it."""

import json
from collections.abc import Iterable
from contextlib import suppress
from itertools import groupby

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.answer import Finish, Piece, Reasoning, Text
from app.dialects import completions
from app.dialects import sse as events
from app.dialects.completions.chunks import ChunkReader
from app.dialects.sse import EventReader, StrayLines
from app.failure import Code, Failure
from app.protocols import PROTOCOLS, ui
from app.upstream.account import Account
from tests.protocols.answers import answer_of
from tests.protocols.parser import data_of

from .streams import DONE, any_streams, provider_streams, split
from .values import texts

ACCOUNT = Account("Groq", "", "key-of-the-test")


def pieces_of(reads: Iterable[bytes]) -> tuple[list[Piece], list[Failure]]:
    """Read a stream as `completions` does: its pieces, and the failure that ended it, if one did."""
    reader = completions.reader(ACCOUNT, lambda: None)
    pieces: list[Piece] = []
    for read in [*filter(None, reads), b""]:
        more, failure = reader.read(read)
        pieces += more
        if failure is not None:
            return pieces, [failure]
        if pieces and isinstance(pieces[-1], Finish):
            break
    return pieces, []


def told(reads: Iterable[bytes]) -> list[tuple[object, ...]]:
    """Return what comes of a stream, neighbours of one kind joined; a NaN in a usage equals itself here."""
    pieces, failures = pieces_of(reads)
    said = [(kind, [*run]) for kind, run in groupby(pieces, type)]
    joined = [(kind, repr(run) if kind is Finish else text_of(run)) for kind, run in said]
    return [*joined, *((failure.status, failure.code, failure.message) for failure in failures)]


def text_of(pieces: Iterable[Piece]) -> str:
    return "".join(piece.text for piece in pieces if isinstance(piece, Text | Reasoning))


DEEP = {
    "a text": b'{"choices":[{"delta":{"content":[%b]}}]}',
    "a usage": b'{"usage":{"a":%b}}',
    "a usage with half a character": rb'{"usage":{"a":%b},"b":"\ud83d"}',
    "an error": b'{"error":{"message":%b,"code":%b}}',
    "where an error is": b'{"error":{"msg":"a","loc":[%b]}}',
    "what is not read": b'{"a":%b}',
}


@pytest.mark.parametrize("shape", DEEP.values(), ids=DEEP)
def test_no_depth_is_a_mistake_of_ours(shape: bytes) -> None:
    for depth in range(800, 1100):
        with suppress(Failure):
            ChunkReader(ACCOUNT).read([shape.replace(b"%b", b"[" * depth + b"]" * depth)])


def single(stream: bytes) -> list[bytes]:
    return [stream[place : place + 1] for place in range(len(stream))]


@given(split(provider_streams))
def test_any_split_of_a_provider_s_stream_tells_the_same(made: tuple[bytes, list[bytes]]) -> None:
    stream, reads = made
    assert told(reads) == told([stream]) == told(single(stream))


@given(split(any_streams))
def test_any_split_of_any_bytes_tells_the_same(made: tuple[bytes, list[bytes]]) -> None:
    stream, reads = made
    assert told(reads) == told([stream]) == told(single(stream))


@given(texts, st.data())
def test_a_text_may_be_split_between_any_two_halves_of_its_characters(text: str, data: st.DataObject) -> None:
    units = [unit.decode("utf-16-le", "surrogatepass") for unit in halves(text)]
    cuts = sorted(data.draw(st.sets(st.integers(0, len(units)))))
    deltas = ["".join(units[start:end]) for start, end in zip([0, *cuts], [*cuts, len(units)], strict=True)]
    events = [{"choices": [{"delta": {"content": delta}}]} for delta in deltas]
    stream = b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events)
    pieces, _ = pieces_of([stream, DONE + b"\n\n"])
    assert text_of(pieces) == text


def halves(text: str) -> list[bytes]:
    encoded = text.encode("utf-16-le")
    return [encoded[place : place + 2] for place in range(0, len(encoded), 2)]


@given(any_streams | provider_streams)
@example(
    rb'data: {"choices":[{"finish_reason":"stop\ud83d"}],"usage":{"\ud83d":["\ud83d"]}}' + b"\n\n" + DONE + b"\n\n"
)
def test_whatever_is_told_is_told_once_and_can_be_written(stream: bytes) -> None:
    pieces, failures = pieces_of([stream])
    assert sum(isinstance(piece, Finish) for piece in pieces) + len(failures) == 1
    assert all(piece.text for piece in pieces if isinstance(piece, Text | Reasoning))
    assert all(failure.code in set(Code) and 400 <= failure.status < 600 for failure in failures)
    for wire in PROTOCOLS.values():
        with suppress(Failure):  # plain text can only break off
            for write in wire.frames(answer_of(pieces, *failures)):
                assert all(json.loads(data) for data in data_of(write) if wire is ui and data != b"[DONE]")


@given(split(any_streams))
@example((b"data:\rdata\n\n", [b"data:\rdata\n\n"]))
def test_the_events_of_any_bytes_are_those_of_the_specification(made: tuple[bytes, list[bytes]]) -> None:
    stream, reads = made
    assert events_of(reads) == list(filter(None, data_of(stream)))


@given(split(any_streams | provider_streams), st.integers(4, 40), st.integers(10, 80))
@example((b"data: x\n\n", [b"data: x\n", b"\n"]), 7, 80)
def test_a_stream_is_too_large_or_is_not_however_it_is_split(
    made: tuple[bytes, list[bytes]], event: int, total: int
) -> None:
    """The caps are lowered here, for small streams to reach them."""
    stream, reads = made
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "MAX_EVENT_BYTES", event)
        patch.setattr(events, "MAX_STREAM_BYTES", total)
        assert events_of(reads) == events_of([stream]) == events_of(single(stream))


def events_of(reads: Iterable[bytes]) -> list[bytes] | str:
    """Return all events, or the code of the failure."""
    reader = EventReader()
    try:
        return [event for read in reads for event in reader.feed(read) if type(event) is not StrayLines]
    except Failure as failure:
        return failure.code
