"""The events of a streamed chat completion -> pieces (https://platform.openai.com/docs/api-reference/chat-streaming)."""

from collections.abc import Callable
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
from .content import Kind, read_delta, unreadable
from .plain import decode, decode_silent
from .snapshots import Snapshots
from .state import State

END = b"[DONE]"
MAX_UNPLAIN_CHUNKS = 200_000
CHUNKS_PER_TURN = 20
"""After how many chunks that are not plain, which cost ten times as much, other chats get a turn."""

_NULL = len(b"null")

_OPEN, _ENDED = State.OPEN, State.ENDED


class ChunkReader:
    """A state machine that turns the data of events into pieces, and decides whether the answer is complete."""

    def __init__(self, account: Account, pause: Callable[[], None] = lambda: None) -> None:
        """Take the account, whose key no sentence may show, and a function that gives other chats a turn."""
        self._account = account
        self._pause = pause
        self._halves = {Text: "", Reasoning: ""}
        self._messages: dict[Kind, Snapshots] = {Reasoning: Snapshots(), Text: Snapshots()}
        self._told: set[Kind] = set()
        self._has_unknown_text = False
        self.state = _OPEN
        self._reason = ""
        self._spoiled_by: Failure | None = None
        self._unplain = 0
        self.usage: dict[str, Any] | None = None
        self.seen = False
        """Whether an event came, of any kind but an error."""
        self.kept = 0
        """How many messages are kept: they may be used at the end."""

    def read(self, events: list[bytes]) -> tuple[list[Piece], Failure | None]:
        """Return the pieces of the events of one read, and the failure that follows them, if there is one.

        Neighbours of one kind are joined. A failure is an event that is not JSON, or an error that the provider
        reports. Events after the end marker are ignored.
        """
        pieces: list[Text | Reasoning] = []
        failure = None
        try:
            for event in events:
                self._take(event, pieces)
                if self.state is _ENDED:
                    break
        except Failure as found:
            failure = found
        return [*pieces] if len(pieces) < 2 else _joined(pieces), failure  # noqa: PLR2004 - one has no neighbour to join

    def read_plain(self, event: bytes) -> Text | None:
        """Return the text of a plain event, which most are; None for any other, which is then for `read`.

        It costs half of what `read` does, with the same result.
        """
        if self.state is not _OPEN or self._halves[Text]:
            return None
        try:
            chunk = decode(event)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        delta = chunk.choices.choice.delta
        text, is_more = delta.content, delta.reasoning or delta.reasoning_content or len(chunk.usage) > _NULL
        if not text or is_more or not text.isprintable():
            return None
        self.seen = True
        self._told.add(Text)
        return Text(text)

    def read_last(self, events: list[bytes]) -> None:
        """Take the event at the body's proper end that has no blank line, and so may be incomplete.

        It yields no pieces and ends no answer; but if it could hold text, the answer was cut. Raises `Failure` if it is
        an error.
        """
        for event in events:
            if type(event) is not bytes:
                self._take_unplain(event, [])
                continue
            self.seen = True
            if not END.startswith(event.strip()) and self._has_content(event):
                self.state = State.OPEN

    def _has_content(self, event: bytes) -> bool:
        """Tell whether an event has a part of the answer, or is cut and could have one."""
        try:
            chunk = tolerant.read(tolerant.decoded(event))
        except Failure:
            return True
        if chunk.error is not None:
            raise self._reported(chunk.error)
        return bool(chunk.spans or chunk.message or chunk.has_unknown_text)

    def rest(self) -> list[Piece]:
        """Return the text of the messages, once, if there was no other text. Called before the answer ends or fails."""
        if Text in self._told:
            return []
        kept = {kind: messages.whole for kind, messages in self._messages.items() if kind not in self._told}
        texts = {kind: text for kind, text in kept.items() if text}
        self._told |= texts.keys()
        return [kind(whole) for kind, text in texts.items() if (whole := self._whole(kind, text))]

    def finish(self) -> list[Piece]:
        """Return the last pieces, after the end marker or the proper end of the body.

        Raises `Failure` if the answer is not complete.
        """
        is_told = Text in self._told or bool(self._messages[Text].whole)
        is_marker_alone = self.state is State.ENDED and not self._reason
        if not self.seen or (is_marker_alone and not is_told and not self._has_unknown_text):
            raise Failure(Code.UP_EMPTY, f"{self._account.name} sent no answer.")
        if self.state in {State.OPEN, State.DOUBTED}:
            raise self._cut()
        reason = self._account.cleaned(self._reason) or "unknown"
        if reason == FILTERED and not is_told:
            raise Failure(Code.CONTENT_FILTER, f"{self._account.name}'s content filter stopped the answer.")
        if self._has_unknown_text and not is_told:
            raise unreadable()
        lone = [Text("\N{REPLACEMENT CHARACTER}")] if self._halves[Text] else []
        return [*self.rest(), *lone, Finish(reason, self.usage)]

    def _take(self, event: bytes, pieces: list[Text | Reasoning]) -> None:
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

    def _take_unplain(self, event: bytes, pieces: list[Text | Reasoning]) -> None:
        """Take an event that is not a plain chunk: the end marker, a blank, another shape, an error, or not JSON."""
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
        if data == END:
            self._take_marker()
        elif data:
            self._take_chunk(data, pieces)

    def _take_marker(self) -> None:
        if self.state is State.DOUBTED:
            raise self._cut()
        self.state = State.ENDED

    def _take_stray(self, lines: bytes) -> None:
        """Take lines outside of any event: either an error, or a reason to doubt that the answer is complete."""
        try:
            error = tolerant.read(tolerant.decoded(lines)).error
        except Failure:
            error = None
        if error is not None:
            raise self._reported(error)
        self._doubt()

    def _take_chunk(self, data: bytes, pieces: list[Text | Reasoning]) -> None:
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

    def _take_any(self, data: bytes, pieces: list[Text | Reasoning]) -> None:
        try:
            body = tolerant.decoded(data)
        except Failure as failure:
            if self.state not in {State.FINISHED, State.SPOILED}:
                raise
            self.state, self._spoiled_by = State.SPOILED, self._spoiled_by or failure
            return
        chunk = tolerant.read(body)
        for kind, text in chunk.spans:
            self._tell(kind, text, pieces)
        if chunk.error is not None:
            raise self._reported(chunk.error)
        self._keep(chunk.message)
        self._count(chunk.usage)
        self._has_unknown_text = self._has_unknown_text or chunk.has_unknown_text
        self._end(chunk.ending)
        if not chunk.is_known:
            self._doubt()

    def _cut(self) -> Failure:
        return Failure(Code.UP_TRUNCATED, f"{self._account.name} cut the answer off before its end.")

    def _reported(self, error: object) -> Failure:
        return reported(self._account, error)

    def _doubt(self) -> None:
        if self.state is State.OPEN:
            self.state = State.DOUBTED

    def _tell(self, kind: Kind, text: str, pieces: list[Text | Reasoning]) -> None:
        if self.state is not _OPEN:
            self._go_on()
        self._told.add(kind)
        if self._halves[kind] or not text.isprintable():  # A surrogate is not printable, nearly all text is.
            text = self._whole(kind, text)
        if text:
            pieces.append(kind(text))

    def _go_on(self) -> None:
        """Go back to `OPEN`: more text follows a finish reason. Raises the failure of an unreadable event between."""
        if self._spoiled_by is not None:
            raise self._spoiled_by
        self.state, self._reason = State.OPEN, ""

    def _keep(self, message: object) -> None:
        """Keep the text of a message, which is used only if no other text comes."""
        if message and Text not in self._told:
            for kind, text in read_delta(message):
                self._messages[kind].add(text)
            self.kept += 1

    def _count(self, usage: object) -> None:
        """Keep the usage, unless it is empty."""
        self.usage = counts(usage) or self.usage

    def _end(self, reason: str) -> None:
        if reason == FAILED:
            raise Failure(Code.PROVIDER_ERROR, f"{self._account.name} reported an error in its answer.")
        if reason:
            self._reason = reason
            self.state = State.FINISHED if self._spoiled_by is None else State.SPOILED

    def _whole(self, kind: type[Text | Reasoning], text: str) -> str:
        """Join characters that were split over two events as the halves of a surrogate pair.

        Only the tolerant decoder lets such halves pass. A lone one cannot be encoded as UTF-8.
        """
        text = self._halves[kind] + text
        self._halves[kind] = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
        text = text[: len(text) - len(self._halves[kind])]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _joined(pieces: list[Text | Reasoning]) -> list[Piece]:
    joined: list[Piece] = []
    for kind, run in groupby(pieces, type):
        text = "".join(piece.text for piece in run)
        joined.append(Text(text) if kind is Text else Reasoning(text))
    return joined
