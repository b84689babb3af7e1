"""Protocols: the languages of clients, one file each. A new one is a file, and its media type in `PROTOCOLS`."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from ..answer import Answer
from ..chat import Chat
from ..failure import Failure
from . import chatbot_ui, ui


class ClientProtocol(Protocol):
    """The interface of each protocol's module."""

    MODE: str
    """Its name in the record of a chat."""
    HEADERS: dict[str, str]
    """The headers of an answer."""

    def read(self, body: dict[str, Any], /) -> Chat:
        """Read the body of a request. Raises `Failure` 400, which names the field and the reason."""

    def frames(self, answer: Answer, /, *, notes: bool = True, limited: bool = False) -> Iterator[bytes]:
        """Turn an answer into bytes, one item for each read.

        A protocol with error events sends one for a `Failure`; any other raises the `Failure`. `notes` allows a
        protocol without events to add a sentence to the text; `limited` means that the client set the output limit.
        """

    def refusal(self, failure: Failure, request_id: str, /) -> dict[str, Any]:
        """Return the JSON body of a failure before the answer has begun."""


PROTOCOLS: Mapping[str, ClientProtocol] = {"text/plain": chatbot_ui, "text/event-stream": ui}
"""By the media type in `Accept` that chooses them; the first is the default."""
