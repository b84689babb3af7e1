"""Protocols: the languages of clients, one file each. A new one is a file, and its media type in `PROTOCOLS`."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from ..answer import Answer
from ..chat import Chat
from ..failure import Failure
from . import chatbot_ui, ui


class ClientProtocol(Protocol):
    """The interface of each protocol's module.

    `read` is `schemas.read` and `refusal` is `chatbot_ui.refusal` where a client posts and reads what frontends do.
    """

    MODE: str
    """Its name, in the record of a chat and at `/api/providers`."""
    HEADERS: dict[str, str]
    """The headers of an answer."""

    def read(self, body: dict[str, Any], /) -> Chat:
        """Read the body of a request. Raises `Failure` 400, which names the field and the reason."""

    def frames(self, answer: Answer, /, *, notes: bool = True, limited: bool = False) -> Iterator[bytes]:
        """Turn an answer into bytes, one item for each read; one that says nothing is `b""`, which flushes the headers.

        A protocol that can tell a `Failure` does so and ends properly. One that cannot raises it, and the connection is
        cut. `notes` allows a protocol without events to add a sentence to the text; `limited` means that the client
        itself has set the output limit. Pieces are handled with `match` and `assert_never`.
        """

    def refusal(self, failure: Failure, request_id: str, /) -> dict[str, Any]:
        """Return the JSON body of a failure before the answer has begun."""


PROTOCOLS: Mapping[str, ClientProtocol] = {"text/plain": chatbot_ui, "text/event-stream": ui}
"""By the media type in `Accept` that chooses them."""
DEFAULT: ClientProtocol = chatbot_ui
"""The protocol of a client that accepts none of them."""
