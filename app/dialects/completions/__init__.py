"""OpenAI's chat completions, which most providers speak (https://platform.openai.com/docs/api-reference/chat/create)."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from ...answer import Piece
from ...chat import Chat
from ...failure import Code, Failure
from ...models import Family
from ...upstream.account import Account
from ...upstream.dialect import Json
from ...upstream.pool import Refused
from ..refusal import blames, error_answer
from ..refusal import refused as refused
from ..sse import ErrorEvent, EventReader
from .chunks import END, ChunkReader
from .state import State

MODELS_PATH = "/models"
MAX_EVENTS_WITHOUT_A_PIECE = 100_000
"""How many events, comments among them, may bring nothing of the answer, one after the other."""

_ENDED = State.ENDED
_OPTIONAL = "stream_options"
"""The one optional parameter: without it, only the usage may be missing."""
_REFUSING = frozenset({400, 422, 500, 501})
"""The statuses of a refused parameter; some servers answer 500 to one that they do not know."""


class Quirks(NamedTuple):
    """The differences of a provider from the others.

    `stream_options` go with every request. `developer_role` is the provider's name for the role `developer`.
    """

    stream_options: Mapping[str, Any] | None = None
    developer_role: str = "developer"


_NO_QUIRKS = Quirks()


def request(chat: Chat, account: Account, family: Family) -> tuple[str, Json]:
    """Return the path and the body, with the parameters that the model accepts."""
    quirks: Quirks = account.quirks or _NO_QUIRKS
    body: Json = {"model": chat.model, "messages": _messages(chat, quirks), "stream": True}
    limit = chat.max_tokens or family.output_limit
    if limit is not None:
        body["max_completion_tokens" if family.reasoning else "max_tokens"] = limit
    if chat.temperature is not None and not family.reasoning:
        body["temperature"] = chat.temperature
    if quirks.stream_options is not None:
        body[_OPTIONAL] = quirks.stream_options
    return "/chat/completions", body


def _messages(chat: Chat, quirks: Quirks) -> list[dict[str, Any]]:
    if quirks.developer_role == "developer":
        return chat.messages
    return [
        {**message, "role": quirks.developer_role} if message["role"] == "developer" else message
        for message in chat.messages
    ]


def corrected(body: Json, failure: Failure) -> tuple[Json, str] | None:
    """Return the body without the optional parameter, and its name, if that or a part of it was refused.

    The sentence of the error counts only if the chat itself does not contain the parameter's name.
    """
    refusal = failure.__cause__
    if failure.status not in _REFUSING or not isinstance(refusal, Refused) or _OPTIONAL not in body:
        return None
    sent = msgspec.json.encode(body)
    names = [_OPTIONAL, *body[_OPTIONAL]]
    is_blamed = any(
        blames(refusal.content, refusal.headers, name, in_words=sent.count(name.encode()) == 1) for name in names
    )
    return ({name: value for name, value in body.items() if name != _OPTIONAL}, _OPTIONAL) if is_blamed else None


def reader(account: Account, pause: Callable[[], None]) -> "Reader":
    """Return the reader of the answer."""
    return Reader(account, pause)


class Reader:
    """Reads one answer: bytes -> events -> chunks -> pieces."""

    def __init__(self, account: Account, pause: Callable[[], None]) -> None:
        """Start before the first byte."""
        self._account = account
        self._events = EventReader()
        self._chunks = ChunkReader(account, pause)
        self._blocks_at_piece = 0
        self.events = 0

    @property
    def kept(self) -> int:
        """How many messages are kept until the end of the answer."""
        return self._chunks.kept

    @property
    def usage(self) -> dict[str, Any] | None:
        """The provider's token counts so far, by its own names."""
        return self._chunks.usage

    def read(self, data: bytes) -> tuple[list[Piece], Failure | None]:
        """Return the pieces of one read, and the failure that follows them; `b""` is the body's proper end.

        What was kept comes before the `Finish`, or before the failure.
        """
        single = self._events.single(data)
        if single is not None and (text := self._chunks.read_plain(single)) is not None:
            self.events += 1
            self._blocks_at_piece = self._events.blocks
            return [text], None
        try:
            events = [single] if single is not None else self._events.feed(data) if data else self._whole()
        except Failure as failure:
            return self.fail(failure)
        self.events += len(events)
        pieces, failed = self._chunks.read(events)
        if failed is not None:
            return self.fail(failed, pieces)
        if self._chunks.state is _ENDED or not data:
            return self._end(pieces, self._events.last() if not data and not events else [])
        if pieces:
            self._blocks_at_piece = self._events.blocks
        elif self._events.blocks - self._blocks_at_piece > MAX_EVENTS_WITHOUT_A_PIECE:
            message = f"{self._account.name} sent too much that is no answer."
            return self.fail(Failure(Code.UP_TOO_LARGE, message))
        return pieces, None

    def fail(self, failure: Failure, pieces: Iterable[Piece] = ()) -> tuple[list[Piece], Failure]:
        """Return a failure of the answer, behind the last pieces and what was kept until the end."""
        return [*pieces, *self._chunks.rest()], failure

    def _end(self, pieces: list[Piece], last: list[bytes]) -> tuple[list[Piece], Failure | None]:
        """Return the last pieces with the end of the answer, or the failure if the answer is not complete."""
        try:
            self._chunks.read_last(last)
            return [*pieces, *self._chunks.finish()], None
        except Failure as failure:
            return self.fail(failure, pieces)

    def _whole(self) -> list[bytes]:
        """Return the events for a body that is one JSON answer instead of a stream; an error if it has no choices.

        Complete JSON was not cut, so the end marker is added.
        """
        body = self._events.whole.strip()
        if self._chunks.seen or not body.startswith((b"{", b"[", b'"')):
            return []
        return [body, END] if error_answer(body) is None else [ErrorEvent(body)]
