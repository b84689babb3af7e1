"""The one loop that reads an answer: it waits for the provider, keeps the deadlines, and yields each read's pieces."""

from collections.abc import Iterator
from contextlib import suppress
from enum import Enum, auto
from functools import partial
from time import monotonic

from ..answer import Finish, Piece, Silence
from ..config import Settings
from ..failure import Code, Failure, Gone
from ..wait import pause
from .call import Call
from .pool import Exchange, Refused

SETTLE_SECONDS = 0.1
"""How long the last bytes of HTTP may follow the end of the answer; many providers send them separately. Without them
the connection could not be kept, and the next chat would begin with a handshake."""


class State(Enum):
    """The states of reading an answer.

    | state   | the next piece must come within      | else a failure |
    |---------|--------------------------------------|----------------|
    | WAITING | FIRST_EVENT_TIMEOUT_SECONDS, of all  | `up_timeout`   |
    | READING | IDLE_TIMEOUT_SECONDS                 | `up_idle`      |
    | ENDED   | nothing is read any more             |                |

    In all states the whole answer must come within STREAM_TIMEOUT_SECONDS, else `up_timeout`. While nothing comes, a
    `Silence` is yielded after COMMIT_SECONDS, and then every HEARTBEAT_SECONDS.
    """

    WAITING = auto()
    READING = auto()
    ENDED = auto()


class Reading:
    """An answer that is read from an exchange, by the reader of its dialect."""

    def __init__(self, exchange: Exchange, call: Call, settings: Settings, started: float) -> None:
        """Take the exchange, its call, and the monotonic time at which the call began."""
        self._exchange = exchange
        self._account, self._dialect, self._trace = call.account, call.dialect, call.trace
        self._reader = call.dialect.reader(call.account, partial(pause, call.wait))
        self._settings = settings
        self._started = started

    def batches(self) -> Iterator[list[Piece]]:
        """Yield the pieces of each read. Raises the `Failure` that follows them."""
        settings, reader, trace, state = self._settings, self._reader, self._trace, State.WAITING
        end = self._started + settings.stream_timeout_seconds
        give_up = self._started + settings.first_event_timeout_seconds
        beat = self._started + settings.commit_seconds
        now, kept = self._started, 0
        while state is not State.ENDED:
            limit = min(give_up, end)
            if now < limit:
                pieces, failure = self._read(min(limit, beat) - monotonic())
            else:
                code = Code.UP_IDLE if state is State.READING and now < end else Code.UP_TIMEOUT
                message = f"{self._account.name} took too long to answer. Please try again."
                pieces, failure = reader.fail(Failure(code, message))
            now = monotonic()
            if pieces and state is State.WAITING:
                state, trace.first_piece = State.READING, now
            if pieces or reader.kept > kept:
                give_up, kept = now + settings.idle_timeout_seconds, reader.kept
            if pieces or (now >= beat and failure is None):
                beat = now + settings.heartbeat_seconds
                yield pieces or [Silence()]
            if failure is not None:
                raise failure
            if pieces and type(pieces[-1]) is Finish:
                state = State.ENDED
        with suppress(Gone):  # The client has the whole answer, so its leaving changes nothing.
            self._exchange.settle(SETTLE_SECONDS)

    def close(self) -> None:
        """Note in the trace what was read, and let go of the provider; may be called twice.

        The end of `batches` would be too late: if the client leaves during a write, it comes after the chat's record.
        """
        self._trace.events, self._trace.usage = self._reader.events, self._reader.usage
        self._exchange.close()

    def _read(self, seconds: float) -> tuple[list[Piece], Failure | None]:
        """Wait for one read. Return its pieces, empty if nothing useful came, and the failure behind them, if any."""
        try:
            data = self._exchange.read(max(seconds, 0))
        except Refused as late:
            raise self._dialect.refused(self._account, late.status, late.headers, late.content) from late
        except Failure as failure:
            return self._reader.fail(failure)
        if data is None:
            return [], None
        return self._reader.read(data)
