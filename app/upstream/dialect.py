"""The interface of a dialect, a provider's language, as upstream needs it. Nothing here knows a concrete one."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ..answer import Piece
from ..chat import Chat
from ..failure import Failure
from ..models import Family
from .account import Account

Json = dict[str, Any]
"""A request's body, which will be JSON."""


class Reader(Protocol):
    """Reads one answer."""

    @property
    def events(self) -> int:
        """How many events have come."""

    @property
    def kept(self) -> int:
        """How many parts of the answer are kept until its end."""

    @property
    def usage(self) -> dict[str, Any] | None:
        """The provider's token counts so far, by its own names."""

    def read(self, data: bytes, /) -> tuple[list[Piece], Failure | None]:
        """Return the pieces of one read, and the failure that follows them, if there is one.

        `b""` is the body's proper end. The last piece of the answer is its `Finish`; nothing is read after it, or after
        a failure. What was kept until the end comes before either.
        """

    def fail(self, failure: Failure, /) -> tuple[list[Piece], Failure]:
        """Take a failure in place of a read: the connection broke, or the time is over.

        Returns it as `read` does, behind the pieces that were kept until the end.
        """


class Dialect(Protocol):
    """The interface of each dialect's module."""

    MODELS_PATH: str
    """The path of the list of models, which costs nothing and needs a valid key."""

    def request(self, chat: Chat, account: Account, family: Family, /) -> tuple[str, Json]:
        """Return the path and the body of the request for a streamed answer."""

    def reader(self, account: Account, pause: Callable[[], None], /) -> Reader:
        """Return the reader of the answer. `pause` lets other chats run; it is called in the middle of long work."""

    def corrected(self, body: Json, failure: Failure, /) -> tuple[Json, str] | None:
        """Return the body without a refused parameter, and its name; None for any other failure."""

    def refused(self, account: Account, status: int, headers: Mapping[str, str], content: bytes, /) -> Failure:
        """Translate an error answer."""
