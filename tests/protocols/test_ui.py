"""The AI SDK's UI message stream: its events, one write for each read, and its two kinds of end."""

import json
from typing import Any

import pytest

from app.answer import Finish, Piece, Reasoning, Silence, Text
from app.failure import Code, Failure, Gone
from app.protocols import PROTOCOLS, ui

from .answers import HARD_TEXTS, answer_of
from .parser import data_of

START: list[dict[str, Any]] = [{"type": "start"}, {"type": "start-step"}]
LOST = Failure(Code.UP_RESET, "Lost.")


def writes(*reads: list[Piece] | BaseException) -> list[bytes]:
    return list(ui.frames(answer_of(*reads)))


def parsed(stream: bytes) -> list[Any]:
    """Parse a stream; its end marker is the string that it is."""
    return ["[DONE]" if data == b"[DONE]" else json.loads(data) for data in data_of(stream)]


def events(*reads: list[Piece] | BaseException) -> list[Any]:
    return parsed(b"".join(writes(*reads)))


def open_block(kind: str, number: int, *deltas: str) -> list[dict[str, Any]]:
    said = [{"type": f"{kind}-delta", "id": str(number), "delta": delta} for delta in deltas]
    return [{"type": f"{kind}-start", "id": str(number)}, *said]


def block(kind: str, number: int, *deltas: str) -> list[dict[str, Any]]:
    return [*open_block(kind, number, *deltas), {"type": f"{kind}-end", "id": str(number)}]


def end(reason: str = "stop", **metadata: object) -> list[Any]:
    return [
        {"type": "finish-step"},
        {"type": "finish", "messageMetadata": {"finishReason": reason} | metadata},
        "[DONE]",
    ]


def failed(failure: Failure) -> list[dict[str, Any]]:
    detail = {"code": failure.code, "message": failure.message}
    return [{"type": "data-error", "data": detail, "transient": True}, {"type": "error", "errorText": failure.message}]


def test_an_answer_is_these_bytes() -> None:
    assert b"".join(writes([Text("Hi")], [Finish("stop", {"total_tokens": 8})])) == (
        b'data: {"type":"start"}\n\n'
        b'data: {"type":"start-step"}\n\n'
        b'data: {"type":"text-start","id":"1"}\n\n'
        b'data: {"type":"text-delta","id":"1","delta":"Hi"}\n\n'
        b'data: {"type":"text-end","id":"1"}\n\n'
        b'data: {"type":"finish-step"}\n\n'
        b'data: {"type":"finish","messageMetadata":{"finishReason":"stop","usage":{"total_tokens":8}}}\n\n'
        b"data: [DONE]\n\n"
    )


ANSWERS: dict[str, tuple[list[list[Piece]], list[Any]]] = {
    "text": ([[Text("a")], [Text("b"), Finish("stop", None)]], [*block("text", 1, "a", "b"), *end()]),
    "nothing": ([[Finish("length", None)]], end("length")),
    "an empty usage": ([[Finish("stop", {})]], end()),
    "a usage": ([[Finish("stop", {"a": 1, "b": {"c": None}})]], end(usage={"a": 1, "b": {"c": None}})),
    "reasoning, then text": (
        [[Reasoning("r")], [Reasoning("s"), Text("a")], [Text("b")], [Finish("stop", None)]],
        [*block("reasoning", 1, "r", "s"), *block("text", 2, "a", "b"), *end()],
    ),
    "to and fro": (
        [[Text("a"), Reasoning("r"), Text("b")], [Reasoning("s")], [Finish("stop", None)]],
        [
            *block("text", 1, "a"),
            *block("reasoning", 2, "r"),
            *block("text", 3, "b"),
            *block("reasoning", 4, "s"),
            *end(),
        ],
    ),
    "silence in between": (
        [[Silence()], [Silence()], [Text("a")], [Silence()], [Text("b")], [Finish("stop", None)]],
        [*block("text", 1, "a", "b"), *end()],
    ),
}


@pytest.mark.parametrize(("reads", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_is_these_events(reads: list[list[Piece]], expected: list[Any]) -> None:
    assert events(*reads) == START + expected


@pytest.mark.parametrize(("reads", "_expected"), ANSWERS.values(), ids=ANSWERS)
def test_each_read_is_one_write_of_whole_events(reads: list[list[Piece]], _expected: list[Any]) -> None:
    found = writes(*reads)
    assert len(found) == len(reads)
    assert all(write.endswith(b"\n\n") for write in found)
    assert [event for write in found for event in parsed(write)] == events(*reads)


def test_silence_is_a_comment_also_before_the_first_word() -> None:
    first, second, *_ = writes([Silence()], [Silence()], [Text("a")])
    assert parsed(first) == START
    assert second.startswith(b":")
    assert data_of(second) == []


@pytest.mark.parametrize("hard", HARD_TEXTS)
@pytest.mark.parametrize("kind", [Text, Reasoning])
def test_any_text_comes_through_unchanged(hard: str, kind: type[Text | Reasoning]) -> None:
    name = "text" if kind is Text else "reasoning"
    assert events([kind(hard)], [kind(hard), Finish("stop", None)]) == START + block(name, 1, hard, hard) + end()
    failure = Failure(Code.PROVIDER_ERROR, hard)
    assert events([kind("a")], failure) == START + open_block(name, 1, "a") + failed(failure)
    assert events([Finish(hard, {hard: hard})]) == START + end(hard, usage={hard: hard})


@pytest.mark.parametrize(
    ("before", "told"),
    [
        ([], []),
        ([[Silence()]], []),
        ([[Text("a")]], open_block("text", 1, "a")),
        ([[Reasoning("r")], [Text("a")], [Silence()]], [*block("reasoning", 1, "r"), *open_block("text", 2, "a")]),
    ],
)
def test_after_a_failure_nothing_ends_with_success(before: list[list[Piece]], told: list[Any]) -> None:
    found = events(*before, LOST)
    assert found == START + told + failed(LOST)
    assert not {"finish", "finish-step"} & {event["type"] for event in found}


def test_after_a_failure_nothing_more_is_read() -> None:
    found = ui.frames(answer_of([Text("a")], LOST, [Text("EVIL")]))
    assert len(list(found)) == 2
    assert next(found, None) is None


@pytest.mark.parametrize("before", [[], [[Text("a")]]])
def test_a_reader_who_has_gone_is_told_nothing(before: list[list[Piece]]) -> None:
    gone = Gone()
    found: list[bytes] = []
    with pytest.raises(Gone) as caught:
        found.extend(ui.frames(answer_of(*before, gone)))
    assert caught.value is gone
    assert b"error" not in b"".join(found)


def test_a_reader_who_leaves_during_a_write_is_told_nothing() -> None:
    found = ui.frames(answer_of([Text("a")], [Text("b")]))
    next(found)
    with pytest.raises(Gone):
        found.throw(Gone())  # type: ignore[attr-defined]  # it is a generator
    assert next(found, None) is None


def test_numbers_that_json_does_not_know_do_not_break_the_end() -> None:
    assert events([Finish("stop", {"a": float("nan"), "b": float("inf"), "c": 10**30})]) == START + end(
        usage={"a": None, "b": None, "c": 10**30}
    )


def test_a_client_chooses_it_by_its_media_type() -> None:
    assert PROTOCOLS["text/event-stream"] is ui
    assert ui.HEADERS["Content-Type"].startswith("text/event-stream")
    assert ui.HEADERS["x-vercel-ai-ui-message-stream"] == "v1"
