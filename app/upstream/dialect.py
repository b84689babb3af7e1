"""What upstream needs of a dialect, a provider's language. Nothing here knows one."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ..answer import Piece
from ..chat import Chat
from ..failure import Failure
from ..models import Family
from .account import Account

Body = dict[str, Any]
"""A request's body, which will be JSON."""


class Reader(Protocol):
    """One answer being read."""

    @property
    def events(self) -> int:
        """How many events have come."""

    @property
    def kept(self) -> int:
        """How many parts of the answer have come that may be told at its end only."""

    @property
    def usage(self) -> dict[str, Any] | None:
        """The provider's token counts so far, by its own names."""

    def read(self, data: bytes, /) -> tuple[list[Piece], Failure | None]:
        """Return the pieces of one read, and the failure that came behind them, if one did.

        `b""` is the body's proper end. The last piece of the answer is its `Finish`; nothing is read after it, or after
        a failure.
        """

    def rest(self) -> list[Piece]:
        """Return what was kept for the end and not told, when the answer fails."""


class Dialect(Protocol):
    """What each dialect's module offers."""

    MODELS_PATH: str
    """The path of the list of models, which costs nothing and needs a right key."""

    def request(self, chat: Chat, account: Account, family: Family, /) -> tuple[str, Body]:
        """Return the path and the body of the request for a streamed answer."""

    def reader(self, account: Account, pause: Callable[[], None], /) -> Reader:
        """Return what reads the answer. `pause` lets others run; it is called in the middle of long work."""

    def corrected(self, body: Body, failure: Failure, /) -> tuple[Body, str] | None:
        """Return a body without the parameter that was refused, and its name; None if the failure is another."""

    def refused(self, account: Account, status: int, headers: Mapping[str, str], content: bytes, /) -> Failure:
        """Translate an error answer."""
