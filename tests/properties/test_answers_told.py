"""Pieces -> bytes: whatever an answer says, a client that parses those bytes gets it back."""

import json
from collections.abc import Iterable
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.answer import Finish, Piece, Reasoning, Silence, Text
from app.failure import Code, Failure
from app.protocols import chatbot_ui as text
from app.protocols import ui
from tests.protocols.answers import HARD_TEXTS, answer_of
from tests.protocols.parser import data_of

from .values import json_values, objects, texts

words = st.text(min_size=1, max_size=12) | st.sampled_from(HARD_TEXTS[:-1])
pieces = st.one_of(words.map(Text), words.map(Text), words.map(Reasoning), st.just(Silence()))
usages = st.none() | objects(texts, json_values(texts, numbers=False))
finishes = st.builds(Finish, words, usages)
failures = st.builds(Failure, st.sampled_from(sorted(Code)), words)
reads = st.lists(st.lists(pieces, min_size=1, max_size=4), max_size=5)


@given(reads, finishes)
def test_a_ui_stream_gives_the_pieces_back(said: list[list[Piece]], finish: Finish) -> None:
    writes = list(ui.frames(answer_of(*said, [finish])))
    assert len(writes) == len(said) + 1
    assert all(write.endswith(b"\n\n") for write in writes)
    *events, done = parsed(writes)
    metadata = {"finishReason": finish.reason} | ({"usage": finish.usage} if finish.usage else {})
    assert events[-2:] == [{"type": "finish-step"}, {"type": "finish", "messageMetadata": metadata}]
    assert blocks(events[2:-2]) == runs(said)
    assert done == "[DONE]"


@given(reads, failures)
def test_a_ui_stream_that_fails_gives_back_what_was_said_and_why(said: list[list[Piece]], failure: Failure) -> None:
    *events, detail, error = parsed(ui.frames(answer_of(*said, failure)))
    assert detail["data"] == {"code": failure.code, "message": failure.message}
    assert error == {"type": "error", "errorText": failure.message}
    assert blocks(events[2:], broken=True) == runs(said)


@given(reads, finishes)
def test_a_text_gives_the_joined_text_and_nothing_else(said: list[list[Piece]], finish: Finish) -> None:
    writes = list(text.frames(answer_of(*said, [finish]), notes=False))
    assert [write.decode() for write in writes] == ["".join(texts_of(read)) for read in (*said, [])]


@given(reads, failures)
def test_a_text_that_fails_says_so_on_its_last_line(said: list[list[Piece]], failure: Failure) -> None:
    writes: list[bytes] = []
    with pytest.raises(Failure):
        writes.extend(text.frames(answer_of(*said, failure)))
    spoken = "".join(chain(*map(texts_of, said)))
    told, sentence = b"".join(writes).decode(), f"[This answer is incomplete. {' '.join(failure.message.split())}]"
    gap = told.removeprefix(spoken).removesuffix(sentence)
    assert (told, gap.strip("\n")) == (spoken + gap + sentence, "")
    assert (spoken + gap)[-1:] in {"", "\n"}


def texts_of(read: Iterable[Piece]) -> list[str]:
    return [piece.text for piece in read if isinstance(piece, Text)]


def parsed(writes: Iterable[bytes]) -> list[Any]:
    found = ["[DONE]" if data == b"[DONE]" else json.loads(data) for data in data_of(b"".join(writes))]
    assert found[:2] == [{"type": "start"}, {"type": "start-step"}]
    return found


def runs(said: Iterable[list[Piece]]) -> list[tuple[str, str]]:
    """Join neighbours of one kind; silences do not part them."""
    spoken = [piece for piece in chain(*said) if isinstance(piece, Text | Reasoning)]
    kinds = groupby(spoken, lambda piece: type(piece).__name__.lower())
    return [(kind, "".join(piece.text for piece in run)) for kind, run in kinds]


def blocks(events: Iterable[Any], *, broken: bool = False) -> list[tuple[str, str]]:
    """Read blocks as a client does: opened, written to and ended under an id of its own; the last may be broken off."""
    found = [list(run) for _, run in groupby(events, itemgetter("id"))]
    assert len({block[0]["id"] for block in found}) == len(found)
    for number, block in enumerate(found, 1):
        kind, is_open = block[0]["type"].removesuffix("-start"), broken and number == len(found)
        inner = [f"{kind}-delta"] * (len(block) - (1 if is_open else 2))
        assert [event["type"] for event in block] == [f"{kind}-start", *inner, *([] if is_open else [f"{kind}-end"])]
    deltas = [[event.get("delta", "") for event in block] for block in found]
    return [(block[0]["type"].removesuffix("-start"), "".join(said)) for block, said in zip(found, deltas, strict=True)]
