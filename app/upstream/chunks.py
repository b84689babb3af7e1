"""The events of a streamed chat completion -> pieces (https://platform.openai.com/docs/api-reference/chat-streaming)."""

import re
from collections.abc import Callable
from enum import Enum, auto
from itertools import groupby
from types import MappingProxyType
from typing import Any, Literal, Protocol

import msgspec

from app.answer import Failure, Finish, Piece, Reasoning, Text
from app.upstream.events import ErrorEvent
from app.upstream.odd import ERRORS, Kind, Said, error_in, members, read_odd
from app.upstream.refusal import cleaned, reported
from app.upstream.usage import counts

_END = b"[DONE]"
ODD_PER_TURN = 100
"""How many chunks that are not plain, and cost ten times as much, are read before others get a turn."""

_FAILED = re.compile(r"error|abort|cancel|timeout|insufficient", re.IGNORECASE)
"""A finish reason that means failure: `error`, `abort`, `network_error`, `insufficient_system_resource`, ..."""
_FILTERS = MappingProxyType({"sensitive": "content_filter"})
"""What some call the content filter."""
_NULL = len(b"null")


class State(Enum):
    """Where an answer stands, by the last thing that mattered.

    What comes              | OPEN               | DOUBTED            | FINISHED
    ------------------------|--------------------|--------------------|------------------------------
    text or reasoning       | OPEN               | OPEN               | OPEN; a failure after garbage
    a finish reason         | FINISHED           | FINISHED           | FINISHED
    no chunk, nor an error  | DOUBTED            | DOUBTED            | FINISHED
    garbage, not JSON       | a failure          | a failure          | FINISHED
    an error                | a failure          | a failure          | a failure
    `[DONE]`                | an end, `unknown`  | a cut              | an end
    the body's proper end   | a cut              | a cut              | an end
    a cut, or a deadline    | a failure          | a failure          | a failure

    So a finish reason alone is no end: something must confirm it, and text behind it takes it back.
    """

    OPEN = auto()
    DOUBTED = auto()
    FINISHED = auto()


_OPEN = State.OPEN


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    refusal: Literal[""] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    message: _Delta | None = None
    text: Literal[""] | None = None
    finish_reason: str | None = None
    native_finish_reason: str | None = None
    error: None = None


class _First(msgspec.Struct, array_like=True):
    """The choices, of which only the first is looked at."""

    choice: _Choice


class _GroqChunk(msgspec.Struct):
    usage: msgspec.Raw = msgspec.Raw(b"")
    error: None = None


class _Chunk(Protocol):
    """What is used of a plain chunk."""

    choices: _First
    usage: msgspec.Raw
    x_groq: _GroqChunk | None


_decode: Callable[[bytes], Any] = msgspec.json.Decoder(
    msgspec.defstruct(
        "_Chunk",
        [
            ("choices", _First),
            ("usage", msgspec.Raw, msgspec.Raw(b"")),
            ("x_groq", _GroqChunk | None, None),
            ("code", Literal[0, 200, "", "0", "200"] | None, None),
            *((name, Literal[0, "", "0"] | None, None) for name in ERRORS),
        ],
    )
).decode
"""Refuses what is no plain chunk, above all one with an error, which is then read as an odd one."""


class _Message:
    """A message beside the deltas: the whole of the answer so far each time, or the next part of it."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._size = 0

    def add(self, text: str) -> None:
        if len(text) >= self._size and text.startswith(self.whole):
            self._parts, self._size = [], 0
        self._parts.append(text)
        self._size += len(text)

    @property
    def whole(self) -> str:
        return "".join(self._parts)


class ChunkReader:
    """Turns the data of events into pieces, and knows whether the provider has ended its answer."""

    def __init__(self, label: str, key: str, wrong_key: str = "", take_turn: Callable[[], None] = lambda: None) -> None:
        """Take the provider's label for sentences, the key that its texts must not show, a wrong one's sentence.

        `take_turn` is what lets others run.
        """
        self._label = label
        self._key = key
        self._wrong_key = wrong_key
        self._take_turn = take_turn
        self._halves = {Text: "", Reasoning: ""}
        self._messages: dict[Kind, _Message] = {Reasoning: _Message(), Text: _Message()}
        self._told: set[Kind] = set()
        self._odd = 0
        self._state = _OPEN
        self._reason = ""
        self._garbage: Failure | None = None
        self._failure: Failure | None = None
        self.usage: dict[str, Any] | None = None
        self.seen = False
        self.over = False
        """Whether the end marker came."""

    def read(self, events: list[bytes]) -> list[Piece]:
        """Return the pieces of the events of one read, neighbours of one kind joined.

        Raises `Failure` on an event that is not JSON, and on an error that the provider reports; kept for
        `raise_failure` if there are pieces from before it. What follows its end marker is not read.
        """
        pieces: list[Text | Reasoning] = []
        self.seen = self.seen or bool(events)
        try:
            self._take_all(events, pieces)
        except Failure as failure:
            if not pieces:
                raise
            self._failure = failure
        return [*pieces] if len(pieces) < 2 else _joined(pieces)  # noqa: PLR2004

    def raise_failure(self) -> None:
        """Raise the `Failure` that came behind the last pieces, if one did."""
        if self._failure is not None:
            raise self._failure

    def finish(self) -> list[Piece]:
        """Return the end of an answer: its marker came, or its body's proper end.

        Raises `Failure` if that is none.
        """
        last = self._rest()
        is_told = Text in self._told or bool(last)
        if not self.seen or (self.over and self._state is State.OPEN and not is_told):
            raise Failure(500, "up_empty", f"{self._label} sent no answer.")
        if self._state is State.DOUBTED or (self._state is State.OPEN and not self.over):
            raise Failure(500, "up_truncated", f"{self._label} cut the answer off before its end.")
        reason = cleaned(self._reason, self._key) or "unknown"
        if reason == "content_filter" and not is_told:
            raise Failure(400, "content_filter", f"{self._label}'s content filter stopped the answer.")
        return [*last, Finish(reason, self.usage)]

    def _rest(self) -> list[Text | Reasoning]:
        """Return what is told at the end: a message where no text was, and half a character without its other."""
        kinds = [] if Text in self._told else [kind for kind in self._messages if kind not in self._told]
        rest = [kind(self._whole(kind, self._messages[kind].whole)) for kind in kinds]
        lone = Text("\N{REPLACEMENT CHARACTER}" if self._halves[Text] else "")
        return [piece for piece in (*rest, lone) if piece.text]

    def _take_all(self, events: list[bytes], pieces: list[Text | Reasoning]) -> None:
        for event in events:
            self._take(event, pieces)
            if self.over:
                return

    def _take(self, event: bytes, pieces: list[Text | Reasoning]) -> None:
        if type(event) is ErrorEvent:
            raise reported(self._label, self._key, error_in(event), self._wrong_key)
        try:
            chunk: _Chunk = _decode(event)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._take_odd(event.strip(), pieces)
            return
        choice = chunk.choices.choice
        if (delta := choice.delta) is not None:
            if thought := delta.reasoning or delta.reasoning_content:
                self._tell(Reasoning, thought, pieces)
            if delta.content:
                self._tell(Text, delta.content, pieces)
        if choice.message is not None:
            self._keep(_said(choice.message))
        if len(chunk.usage) > _NULL:
            self._count(chunk.usage)
        elif chunk.x_groq is not None:
            self._count(chunk.x_groq.usage)
        if choice.finish_reason or choice.native_finish_reason:
            self._end(choice.finish_reason, choice.native_finish_reason)

    def _take_odd(self, event: bytes, pieces: list[Text | Reasoning]) -> None:
        """Take what is no plain chunk: the end marker, a blank, a chunk of another shape, an error, or garbage."""
        if event == _END:
            self.over = True
        if self.over or not event:
            return
        self._odd += 1
        if self._odd % ODD_PER_TURN == 0:
            self._take_turn()
        try:
            body = members(event)
        except Failure as failure:
            if self._state is not State.FINISHED:
                raise
            self._garbage = self._garbage or failure
            return
        odd = read_odd(body)
        for kind, text in odd.said:
            self._tell(kind, text, pieces)
        if odd.error is not None:
            raise reported(self._label, self._key, odd.error, self._wrong_key)
        self._keep(odd.message)
        self._count(odd.usage)
        self._end(odd.reason, odd.native_reason)
        if not odd.is_known and self._state is State.OPEN:
            self._state = State.DOUBTED

    def _tell(self, kind: Kind, text: str, pieces: list[Text | Reasoning]) -> None:
        if self._state is not _OPEN:
            self._go_on()
        self._told.add(kind)
        if whole := self._whole(kind, text):
            pieces.append(kind(whole))

    def _go_on(self) -> None:
        """Know that the answer goes on behind its finish reason; what came between and was garbage may be a part."""
        if self._garbage is not None:
            raise self._garbage
        self._state, self._reason = State.OPEN, ""

    def _keep(self, said: Said) -> None:
        for kind, text in said:
            self._messages[kind].add(text)

    def _count(self, usage: object) -> None:
        """Keep the usage, unless there is nothing in it."""
        self.usage = counts(usage) or self.usage

    def _end(self, reason: str | None, native_reason: str | None) -> None:
        """Take a finish reason, and the one that stands behind it."""
        if _FAILED.search(f"{reason} {native_reason}"):
            raise Failure(500, "provider_error", f"{self._label} reported an error in its answer.")
        if reason:
            self._state, self._reason = State.FINISHED, _FILTERS.get(reason, reason)

    def _whole(self, kind: type[Text | Reasoning], text: str) -> str:
        """Join characters that were split over two events as the halves of a surrogate pair.

        Only what the second decoder read can hold such halves, and they cannot be encoded as UTF-8.
        """
        if not self._halves[kind] and text.isprintable():  # A surrogate is not printable, nearly all text is.
            return text
        text = self._halves[kind] + text
        self._halves[kind] = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
        text = text[: len(text) - len(self._halves[kind])]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _said(message: _Delta) -> Said:
    thought = message.reasoning or message.reasoning_content
    found: list[tuple[Kind, str | None]] = [(Reasoning, thought), (Text, message.content)]
    return [(kind, text) for kind, text in found if text]


def _joined(pieces: list[Text | Reasoning]) -> list[Piece]:
    joined: list[Piece] = []
    for is_text, run in groupby(pieces, lambda piece: isinstance(piece, Text)):
        text = "".join(piece.text for piece in run)
        joined.append(Text(text) if is_text else Reasoning(text))
    return joined
