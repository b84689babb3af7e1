"""Plain text: one write for each read, the text and nothing else."""

from collections.abc import Iterator

import pytest

from app.answer import Answer, Failure, Finish, Gone, Piece, Reasoning, Silence, Text
from app.wire import WIRES, text

from .answers import HARD_TEXTS, answer_of


def frames(*reads: list[Piece] | Exception) -> list[bytes]:
    return list(text.frames(answer_of(*reads)))


def test_each_read_is_one_write() -> None:
    reads: list[list[Piece]] = [[Text("a"), Text("b")], [Text("c")], [Text("d"), Finish("stop", None)]]
    assert frames(*reads) == [b"ab", b"c", b"d"]


def test_what_is_no_text_is_written_as_nothing() -> None:
    reads: list[list[Piece]] = [
        [Silence()],
        [Reasoning("Hm")],
        [Reasoning("Hm"), Text("a"), Reasoning("hm"), Text("b")],
    ]
    assert frames(*reads, [Finish("length", {"total_tokens": 1})]) == [b"", b"", b"ab", b""]


@pytest.mark.parametrize("hard", HARD_TEXTS)
def test_any_text_comes_through_unchanged(hard: str) -> None:
    assert b"".join(frames([Text(hard)], [Text(hard), Finish("stop", None)])).decode() == hard * 2


@pytest.mark.parametrize("end", [Failure(500, "up_reset", "Lost."), Gone()])
def test_what_ends_an_answer_too_early_passes_through(end: Exception) -> None:
    found = text.frames(answer_of([Text("a")], end))
    assert next(found) == b"a"
    with pytest.raises(type(end)) as caught:
        next(found)
    assert caught.value is end


def test_nothing_is_read_ahead() -> None:
    read: list[int] = []

    def reads() -> Iterator[list[Piece]]:
        for number in range(3):
            read.append(number)
            yield [Text(str(number))]

    found = text.frames(Answer(reads(), lambda: None))
    assert (next(found), read) == (b"0", [0])
    assert (next(found), read) == (b"1", [0, 1])


def test_text_is_what_a_client_gets_that_does_not_choose() -> None:
    assert next(iter(WIRES.values())) is text
    assert text.HEADERS == {"Content-Type": "text/plain; charset=utf-8"}
