"""Protocols: the languages of clients. A new one is its file, and its media type in `PROTOCOLS`."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from ..answer import Answer
from ..chat import Chat
from ..failure import Failure
from . import chatbot_ui, ui


class ClientProtocol(Protocol):
    """What each module here offers."""

    MODE: str
    """Its name in the record of a chat."""
    HEADERS: dict[str, str]
    """The headers of an answer."""

    def read(self, body: dict[str, Any], /) -> Chat:
        """Read what a client posts. Raises `Failure` 400, which names the field and says why."""

    def frames(self, answer: Answer, /, *, notes: bool = True, limited: bool = False) -> Iterator[bytes]:
        """Turn an answer into bytes, one item for each read.

        A `Failure` is told if the protocol can, else it is raised. Where a protocol has only the answer's own text to
        tell with, `notes` says whether it may, and `limited` that the client itself has set how long the answer may be.
        """

    def refusal(self, failure: Failure, request_id: str, /) -> dict[str, Any]:
        """Return the JSON that tells a failure before the answer has begun."""


PROTOCOLS: Mapping[str, ClientProtocol] = {"text/plain": chatbot_ui, "text/event-stream": ui}
"""By the media type that chooses them in `Accept`; the first one where none is chosen."""
