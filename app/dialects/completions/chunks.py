"""The events of a streamed chat completion -> pieces (https://platform.openai.com/docs/api-reference/chat-streaming)."""

from collections.abc import Callable
from enum import Enum, auto
from itertools import groupby
from typing import Any

import msgspec

from ...answer import Finish, Piece, Reasoning, Text
from ...failure import Code, Failure
from ...upstream.account import Account
from .. import words
from ..refusal import reported
from ..sse import ErrorEvent, StrayLines
from ..usage import counts
from ..words import FAILED, FILTERED
from . import tolerant
from .content import Kind, bad_data, delta_says
from .plain import decode, decode_silent
from .snapshots import Snapshots

END = b"[DONE]"
MAX_UNPLAIN_CHUNKS = 200_000
CHUNKS_PER_TURN = 20
"""How many chunks that are not plain, and cost ten times as much, are read before others get a turn."""

_NULL = len(b"null")


class State(Enum):
    """Where an answer stands, by the last thing that mattered.

    What comes              | OPEN               | DOUBTED            | FINISHED           | SPOILED
    ------------------------|--------------------|--------------------|--------------------|--------------------
    text or reasoning       | OPEN               | OPEN               | OPEN               | a failure
    a finish reason         | FINISHED           | FINISHED           | FINISHED           | SPOILED
    nothing that is known   | DOUBTED            | DOUBTED            | FINISHED           | SPOILED
    garbage, not JSON       | a failure          | a failure          | SPOILED            | SPOILED
    untellable, or an error | a failure          | a failure          | a failure          | a failure
    `[DONE]`                | an end, `unknown`  | a cut              | an end             | an end
    the body's proper end   | a cut              | a cut              | an end             | an end
    half an event before it | a cut              | a cut              | a cut              | a cut
    a cut, or a deadline    | a failure          | a failure          | a failure          | a failure

    So a finish reason alone is no end: something must confirm it, and text behind it takes it back. A blank, a usage,
    and a message (which is told at the end, if nothing else was) change nothing. An end at which no text was told is
    none if it is `unknown`, if a filter stopped it, or if something came that could be a text and was not understood.
    """

    OPEN = auto()
    DOUBTED = auto()
    FINISHED = auto()
    SPOILED = auto()


_OPEN = State.OPEN


class ChunkReader:
    """Turns the data of events into pieces, and knows whether the provider has ended its answer."""

    def __init__(self, account: Account, pause: Callable[[], None] = lambda: None) -> None:
        """Take the account, for sentences and for the key that they must not show, and what lets others run."""
        self._account = account
        self._pause = pause
        self._halves = {Text: "", Reasoning: ""}
        self._messages: dict[Kind, Snapshots] = {Reasoning: Snapshots(), Text: Snapshots()}
        self._told: set[Kind] = set()
        self._hides = False
        self._state = _OPEN
        self._reason = ""
        self._garbage: Failure | None = None
        self._unplain = 0
        self.usage: dict[str, Any] | None = None
        self.seen = False
        self.kept = 0
        """How many messages have come that may be told at the end."""
        self.over = False
        """Whether the end marker came."""

    def read(self, events: list[bytes]) -> tuple[list[Piece], Failure | None]:
        """Return the pieces of the events of one read, neighbours of one kind joined, and the failure behind them.

        A failure is an event that is not JSON, or an error that the provider reports. Nothing behind the end marker is
        read.
        """
        pieces: list[Piece] = []
        failure = None
        try:
            for event in events:
                self._take(event, pieces)
                if self.over:
                    break
        except Failure as found:
            failure = found
        return pieces if len(pieces) < 2 else _joined(pieces), failure  # noqa: PLR2004

    def read_last(self, events: list[bytes]) -> None:
        """Take the event that the body's proper end left without its blank line, so that it was never sent whole.

        Nothing of it is told, and it ends no answer; but what could be text shows that the answer was cut. Raises
        `Failure` on an error.
        """
        for event in events:
            if type(event) is not bytes:
                self._take_unplain(event, [])
                continue
            self.seen = True
            if not END.startswith(event.strip()) and self._is_of_answer(event):
                self._state = State.OPEN

    def _is_of_answer(self, event: bytes) -> bool:
        """Tell whether a text would be missing without an event, or may be because it is cut."""
        try:
            chunk = tolerant.read(tolerant.decoded(event))
        except Failure:
            return True
        if chunk.error is not None:
            raise self._reported(chunk.error)
        return bool(chunk.said or chunk.message or chunk.hides)

    def rest(self) -> list[Piece]:
        """Return what messages say, once, if no text was told: behind it the answer ends, or fails."""
        if Text in self._told:
            return []
        kept = {kind: messages.whole for kind, messages in self._messages.items() if kind not in self._told}
        said = {kind: text for kind, text in kept.items() if text}
        self._told |= said.keys()
        return [kind(whole) for kind, text in said.items() if (whole := self._whole(kind, text))]

    def finish(self) -> list[Piece]:
        """Return the end of an answer: its marker came, or its body's proper end.

        Raises `Failure` if that is none.
        """
        is_open, is_told = self._state is State.OPEN, Text in self._told or bool(self._messages[Text].whole)
        if not self.seen or (self.over and is_open and not is_told and not self._hides):
            raise Failure(Code.UP_EMPTY, f"{self._account.name} sent no answer.")
        if self._state is State.DOUBTED or (is_open and not self.over):
            raise Failure(Code.UP_TRUNCATED, f"{self._account.name} cut the answer off before its end.")
        reason = self._account.cleaned(self._reason) or "unknown"
        if reason == FILTERED and not is_told:
            raise Failure(Code.CONTENT_FILTER, f"{self._account.name}'s content filter stopped the answer.")
        if self._hides and not is_told:
            raise bad_data()
        lone = [Text("\N{REPLACEMENT CHARACTER}")] if self._halves[Text] else []
        return [*self.rest(), *lone, Finish(reason, self.usage)]

    def _take(self, event: bytes, pieces: list[Piece]) -> None:
        try:
            chunk = decode(event)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._take_unplain(event, pieces)
            return
        choice = chunk.choices.choice
        delta = choice.delta
        thought, text = delta.reasoning or delta.reasoning_content, delta.content
        if type(event) is not bytes or not (text or (thought and not choice.text)):
            self._take_unplain(event, pieces)
            return
        self.seen = True
        if thought:
            self._tell(Reasoning, thought, pieces)
        if text:
            self._tell(Text, text, pieces)
        if len(chunk.usage) > _NULL:
            self._count(chunk.usage)

    def _take_unplain(self, event: bytes, pieces: list[Piece]) -> None:
        """Take what is no plain chunk: the end marker, a blank, a chunk of another shape, an error, or garbage."""
        self._unplain += 1
        if self._unplain % CHUNKS_PER_TURN == 0:
            self._pause()
        if self._unplain > MAX_UNPLAIN_CHUNKS:
            raise Failure(Code.UP_TOO_LARGE, f"{self._account.name} sent too much that costs too much to read.")
        if type(event) is ErrorEvent:
            raise self._reported(tolerant.error_in(event))
        if type(event) is StrayLines:
            self._take_stray(event)
            return
        self.seen = True
        data = event.strip()
        self.over = data == END
        if data and not self.over:
            self._take_chunk(data, pieces)

    def _take_stray(self, lines: bytes) -> None:
        """Take lines that are no event: an error if they say so, else a reason to doubt that the answer is whole."""
        try:
            error = tolerant.read(tolerant.decoded(lines)).error
        except Failure:
            error = None
        if error is not None:
            raise self._reported(error)
        self._doubt()

    def _take_chunk(self, data: bytes, pieces: list[Piece]) -> None:
        try:
            chunk = decode_silent(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._take_any(data, pieces)
            return
        if not chunk.choices and len(chunk.usage) <= _NULL:
            self._doubt()
        self._count(chunk.usage)
        for choice in chunk.choices:
            self._end(words.ending(choice.finish_reason or "", choice.native_finish_reason or ""))

    def _take_any(self, data: bytes, pieces: list[Piece]) -> None:
        try:
            body = tolerant.decoded(data)
        except Failure as failure:
            if self._state not in {State.FINISHED, State.SPOILED}:
                raise
            self._state, self._garbage = State.SPOILED, self._garbage or failure
            return
        chunk = tolerant.read(body)
        for kind, text in chunk.said:
            self._tell(kind, text, pieces)
        if chunk.error is not None:
            raise self._reported(chunk.error)
        self._keep(chunk.message)
        self._count(chunk.usage)
        self._hides = self._hides or chunk.hides
        self._end(chunk.ending)
        if not chunk.is_known:
            self._doubt()

    def _reported(self, error: object) -> Failure:
        return reported(self._account, error)

    def _doubt(self) -> None:
        if self._state is State.OPEN:
            self._state = State.DOUBTED

    def _tell(self, kind: Kind, text: str, pieces: list[Piece]) -> None:
        if self._state is not _OPEN:
            self._go_on()
        self._told.add(kind)
        if self._halves[kind] or not text.isprintable():  # A surrogate is not printable, nearly all text is.
            text = self._whole(kind, text)
        if text:
            pieces.append(kind(text))

    def _go_on(self) -> None:
        """Know that the answer goes on behind its finish reason; what came between and was garbage may be a part."""
        if self._garbage is not None:
            raise self._garbage
        self._state, self._reason = State.OPEN, ""

    def _keep(self, message: object) -> None:
        """Keep what a message says, which counts only if nothing else is told."""
        if message and Text not in self._told:
            for kind, text in delta_says(message):
                self._messages[kind].add(text)
            self.kept += 1

    def _count(self, usage: object) -> None:
        """Keep the usage, unless there is nothing in it."""
        self.usage = counts(usage) or self.usage

    def _end(self, reason: str) -> None:
        if reason == FAILED:
            raise Failure(Code.PROVIDER_ERROR, f"{self._account.name} reported an error in its answer.")
        if reason:
            self._reason = reason
            self._state = State.FINISHED if self._garbage is None else State.SPOILED

    def _whole(self, kind: type[Text | Reasoning], text: str) -> str:
        """Join characters that were split over two events as the halves of a surrogate pair.

        Only what the second decoder read can hold such halves, and they cannot be encoded as UTF-8.
        """
        text = self._halves[kind] + text
        self._halves[kind] = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
        text = text[: len(text) - len(self._halves[kind])]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _joined(pieces: list[Piece]) -> list[Piece]:
    joined: list[Piece] = []
    for kind, run in groupby(pieces, type):
        text = "".join(piece.text for piece in run if isinstance(piece, Text | Reasoning))
        joined.append(Text(text) if kind is Text else Reasoning(text))
    return joined
