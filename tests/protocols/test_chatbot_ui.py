"""Plain text: one write for each read, the text and nothing else, but for what is said of an answer that ends short."""

from collections.abc import Iterator

import pytest

from app.answer import Answer, Finish, Piece, Reasoning, Silence, Text
from app.failure import Code, Failure, Gone
from app.protocols import PROTOCOLS, chatbot_ui

from .answers import HARD_TEXTS, answer_of


def frames(*reads: list[Piece] | BaseException) -> list[bytes]:
    return list(chatbot_ui.frames(answer_of(*reads)))


def test_each_read_is_one_write() -> None:
    reads: list[list[Piece]] = [[Text("a"), Text("b")], [Text("c")], [Text("d"), Finish("stop", None)]]
    assert frames(*reads) == [b"ab", b"c", b"d"]


def test_what_is_no_text_is_written_as_nothing() -> None:
    reads: list[list[Piece]] = [
        [Silence()],
        [Reasoning("Hm")],
        [Reasoning("Hm"), Text("a"), Reasoning("hm"), Text("b")],
    ]
    assert frames(*reads, [Finish("stop", {"total_tokens": 1})]) == [b"", b"", b"ab", b""]


@pytest.mark.parametrize("hard", HARD_TEXTS)
def test_any_text_comes_through_unchanged(hard: str) -> None:
    assert b"".join(frames([Text(hard)], [Text(hard), Finish("stop", None)])).decode() == hard * 2


def broken(failure: BaseException, *reads: list[Piece], notes: bool = True) -> list[bytes]:
    """Return what is written of an answer that a failure ends; the failure passes behind it."""
    found: list[bytes] = []
    with pytest.raises(type(failure)) as caught:
        found.extend(chatbot_ui.frames(answer_of(*reads, failure), notes=notes))
    assert caught.value is failure
    return found


LOST = Failure(Code.UP_RESET, "OpenAI was lost.")
SAID_LOST = b"[This answer is incomplete. OpenAI was lost.]"


def test_a_failure_is_said_in_the_text_before_it_passes() -> None:
    assert broken(LOST, [Text("a")]) == [b"a", b"\n\n" + SAID_LOST]


def test_a_reader_who_has_gone_is_told_nothing() -> None:
    assert broken(Gone(), [Text("a")]) == [b"a"]


ABOVE: dict[str, tuple[list[list[Piece]], bytes]] = {
    "nothing at all": ([], b""),
    "silence": ([[Silence()], [Silence()]], b""),
    "only thoughts": ([[Reasoning("Hm")]], b""),
    "a line that goes on": ([[Text("a\nb")]], b"\n\n"),
    "a line, and then silence": ([[Text("a")], [Silence()]], b"\n\n"),
    "a line that has ended": ([[Text("a\n")]], b"\n"),
    "a line that has ended as in Windows": ([[Text("a\r\n")], [Reasoning("Hm")]], b"\n"),
}


@pytest.mark.parametrize(("reads", "gap"), ABOVE.values(), ids=ABOVE)
def test_the_sentence_has_a_line_of_its_own(reads: list[list[Piece]], gap: bytes) -> None:
    assert broken(LOST, *reads)[-1] == gap + SAID_LOST
    assert frames(*reads, [Finish("length", None)])[-1] == gap + LENGTH


@pytest.mark.parametrize("message", ["Two\nlines.", " Two\r\n\r\nlines. ", "Two\u2028lines.", "Two\x0b\x85lines."])
def test_a_sentence_of_several_lines_is_told_on_one(message: str) -> None:
    assert broken(Failure(Code.PROVIDER_ERROR, message)) == [b"[This answer is incomplete. Two lines.]"]


LENGTH = b"[This answer is incomplete. It reached the limit of its length.]"
FILTER = b"[This answer is incomplete. A content filter stopped it.]"
SHORT = {"length": LENGTH, "content_filter": FILTER}
WHOLE = ["stop", "unknown", "eos", "eos_token", "end_turn", "stop_sequence", "tool_calls", "function_call", "COMPLETE"]


@pytest.mark.parametrize(("reason", "said"), SHORT.items())
def test_an_end_that_is_none_is_said_in_the_text(reason: str, said: bytes) -> None:
    assert frames([Text("a")], [Text("b"), Finish(reason, None)]) == [b"a", b"b", b"\n\n" + said]


@pytest.mark.parametrize("reason", WHOLE)
def test_of_a_whole_answer_nothing_is_said(reason: str) -> None:
    assert frames([Text("a"), Finish(reason, None)]) == [b"a"]


def test_a_client_knows_of_the_limit_that_it_set_itself() -> None:
    reads: list[list[Piece]] = [[Text("a")], [Finish("length", None)]]
    assert list(chatbot_ui.frames(answer_of(*reads), limited=True)) == [b"a", b""]
    reads = [[Text("a")], [Finish("content_filter", None)]]
    assert list(chatbot_ui.frames(answer_of(*reads), limited=True)) == [b"a", b"", b"\n\n" + FILTER]


def test_without_notes_only_a_broken_connection_can_tell() -> None:
    assert broken(LOST, [Text("a")], notes=False) == [b"a"]
    for reason in SHORT:
        assert list(chatbot_ui.frames(answer_of([Text("a"), Finish(reason, None)]), notes=False)) == [b"a"]


def test_nothing_is_read_ahead() -> None:
    read: list[int] = []

    def reads() -> Iterator[list[Piece]]:
        for number in range(3):
            read.append(number)
            yield [Text(str(number))]

    found = chatbot_ui.frames(Answer(reads(), lambda: None))
    assert (next(found), read) == (b"0", [0])
    assert (next(found), read) == (b"1", [0, 1])


def test_text_is_what_a_client_gets_that_does_not_choose() -> None:
    assert next(iter(PROTOCOLS.values())) is chatbot_ui
    assert chatbot_ui.HEADERS == {"Content-Type": "text/plain; charset=utf-8"}
