"""A chat completion: asked for with the OpenAI SDK, read by us, and given up in time."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from time import monotonic
from typing import Any

import openai

from ..answer import Answer, Piece, Silence
from ..config import Settings
from ..failure import Code, Failure, Gone
from . import asking
from .account import Account
from .chunks import END, ChunkReader
from .corrections import Corrections
from .events import ErrorEvent, EventReader
from .refusal import error_answer, refused
from .request import send
from .transport import Body, Refusal

SETTLE_SECONDS = 0.1
"""How long the last bytes of HTTP may follow the end marker, which many providers send by themselves; without them the
connection could not be kept, and the next chat would begin with a handshake."""

RETRY_SECONDS = 0.2
"""How long a failed connect is let rest before the second."""

MAX_EVENTS_WITHOUT_A_PIECE = 100_000
"""How many events, comments among them, may bring nothing of the answer, one after the other."""

TURN_SECONDS = 0.000_001
"""How long an answer waits to let others run. Not nothing: the loop looks at its sockets only before a timer rings."""


def complete(
    client: openai.OpenAI,
    account: Account,
    parameters: Mapping[str, Any],
    settings: Settings,
    corrections: Corrections,
) -> Answer:
    """Ask for a streamed chat completion.

    Returns when the provider has accepted, or has not answered within `commit_seconds`. Asks once more where that can
    do no harm: nothing was answered but that another time, or less, would be better. Raises `Failure`.
    """
    started = monotonic()
    deadline = started + min(settings.commit_seconds, settings.first_event_timeout_seconds)

    def ask(parameters: Mapping[str, Any]) -> Body:
        return send(client, account, "/chat/completions", deadline - monotonic(), {**parameters, "stream": True})

    def ask_twice(parameters: Mapping[str, Any]) -> Body:
        try:
            return ask(parameters)
        except Failure as failure:
            asked, delay = asking.current(), _delay(failure)
            if delay is None or asked.attempts >= asked.allowed or monotonic() + delay >= deadline:
                raise
            _pause(delay)
            return ask(parameters)

    body = corrections.ask(account.base_url, parameters, ask_twice)
    return Answer(_Reads(body, account, settings, started).all_batches(), body.close)


def _delay(failure: Failure) -> float | None:
    """Return after how many seconds it is worth to ask again, None if it is not."""
    if failure.code is Code.UP_CONNECT:
        return RETRY_SECONDS
    delay = failure.headers.get("Retry-After", "")
    is_busy = failure.code in {Code.PROVIDER_RATE_LIMITED, Code.PROVIDER_OVERLOADED}
    return int(delay) if is_busy and delay in {"0", "1", "2"} else None


def _pause(seconds: float) -> None:
    with suppress(TimeoutError):
        asking.current().wait(None, 0, monotonic() + seconds)


class _Reads:
    """An answer being read, and until when it is waited for."""

    def __init__(self, body: Body, account: Account, settings: Settings, started: float) -> None:
        self._body = body
        self._account = account
        self._settings = settings
        self._started = started
        self._events = EventReader()
        self._chunks = ChunkReader(account.name, account.key, account.wrong_key, self._take_turn)
        self._ended = False
        self._failure: Failure | None = None
        self._asked = asking.current()
        self._blocks_at_piece = 0

    def all_batches(self) -> Iterator[list[Piece]]:
        """Yield what each read brought, and before a failure what was kept for the end."""
        try:
            yield from self._batches()
        except Failure:
            if rest := self._chunks.rest():
                yield rest
            raise

    def _batches(self) -> Iterator[list[Piece]]:
        """Yield what each read brought: a `Silence` after `commit_seconds` and then each heartbeat without a piece."""
        settings = self._settings
        end = self._started + settings.stream_timeout_seconds
        give_up = self._started + settings.first_event_timeout_seconds
        beat = self._started + settings.commit_seconds
        begun = False
        while True:
            kept = self._chunks.kept
            pieces = self._read(min(give_up, end, beat) - monotonic())
            now = monotonic()
            if pieces and not begun:
                begun, self._asked.first_piece = True, now
            if pieces or self._chunks.kept > kept:
                give_up = now + settings.idle_timeout_seconds
            if pieces or now >= beat:
                beat = now + settings.heartbeat_seconds
                yield pieces or [Silence()]
            if self._ended:
                with suppress(Gone):  # who has it all
                    self._body.settle(SETTLE_SECONDS)
                return
            if now >= min(give_up, end):
                self._raise_failure()
                code = Code.UP_IDLE if begun and now < end else Code.UP_TIMEOUT
                raise Failure(code, f"{self._account.name} took too long to answer. Please try again.")

    def _read(self, seconds: float) -> list[Piece]:
        """Wait for one read; no pieces when nothing came, or nothing of use."""
        self._raise_failure()
        try:
            data = self._body.read(max(seconds, 0))
        except Refusal as late:
            answer = late.response
            raise refused(self._account, answer.status_code, answer.headers, answer.content) from late
        if data is None:
            return []
        events = self._events.feed(data) if data else self._whole()
        self._asked.events += len(events)
        pieces = self._chunks.read(events)
        if not data and not events:
            self._chunks.read_last(self._events.last())
        if self._chunks.over or not data:
            return self._end(pieces)
        self._expect_pieces(pieces)
        return pieces

    def _raise_failure(self) -> None:
        """Raise the `Failure` that came behind the last pieces, if one did."""
        self._chunks.raise_failure()
        if self._failure is not None:
            raise self._failure

    def _end(self, pieces: list[Piece]) -> list[Piece]:
        """Return the last pieces with the answer's end, or alone if it has none; that is raised after them."""
        self._asked.usage = self._chunks.usage
        try:
            self._chunks.raise_failure()
            end = self._chunks.finish()
        except Failure as failure:
            if not pieces:
                raise
            self._failure = failure
            return pieces
        self._ended = True
        return pieces + end

    def _expect_pieces(self, pieces: list[Piece]) -> None:
        """Break off after so many events without a piece. Raises `Failure`."""
        if pieces:
            self._blocks_at_piece = self._events.blocks
        elif self._events.blocks - self._blocks_at_piece > MAX_EVENTS_WITHOUT_A_PIECE:
            raise Failure(Code.UP_TOO_LARGE, f"{self._account.name} sent too much that is no answer.")

    def _take_turn(self) -> None:
        """Let others run."""
        with suppress(TimeoutError):
            self._asked.wait(None, 0, monotonic() + TURN_SECONDS)

    def _whole(self) -> list[bytes]:
        """Return the events that a whole JSON answer in place of a stream is, an error if it has no choices.

        What is JSON to its end was not cut, so the end marker stands behind it.
        """
        body = self._events.whole.strip()
        if self._chunks.seen or not body.startswith((b"{", b"[", b'"')):
            return []
        return [body, END] if error_answer(body) is None else [ErrorEvent(body)]
