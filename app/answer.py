"""The answer's half of the seam between whom we ask and whom we tell: its pieces, and how it fails."""

import errno
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Text(NamedTuple):
    """Some of the answer's text; never empty, never half a character."""

    text: str


class Reasoning(NamedTuple):
    """Some of what the model thought before it answered."""

    text: str


class Silence(NamedTuple):
    """Nothing came for one heartbeat."""


class Finish(NamedTuple):
    """The provider's own end of the answer.

    `reason` is its `finish_reason`: `length` and `content_filter` whatever the provider calls them, any other by its
    own name (`stop`, `tool_calls`, `eos`, ...), or `unknown` where it gave none.
    `usage` is its token counts by its own names, or None.
    """

    reason: str
    usage: dict[str, Any] | None


Piece = Text | Reasoning | Silence | Finish


class Answer:
    """An iterator over the provider's reads: for each, the list of the pieces that it brought.

    It ends in exactly one `Finish`, or in an exception; it never just stops. `close` lets go of the provider at once,
    wherever the answer stands, and may be called twice.
    """

    def __init__(self, reads: Iterator[list[Piece]], close: Callable[[], None]) -> None:
        """Take the reads, and what closes the connection that they come from."""
        self._reads = reads
        self.close = close

    def __iter__(self) -> Iterator[list[Piece]]:
        """Return the reads, with nothing of ours between them and the loop over them."""
        return self._reads

    def __next__(self) -> list[Piece]:
        """Wait for the next read that brought a piece."""
        return next(self._reads)


class Failure(Exception):
    """Something a person is told: a status, a code of the closed set below, and a sentence to act on."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] = _NO_HEADERS) -> None:
        """Take the HTTP status, the code, the sentence, and headers that go with them (`Retry-After`, ...)."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers


class Gone(ConnectionResetError):
    """The reader left. Thrown into whatever the request was waiting for; never the provider's failure.

    A `ConnectionResetError` with its number, because that is what WSGI servers let pass in silence.
    """

    def __init__(self, outcome: str = "client_gone") -> None:
        """Take how the chat is to be counted: `client_gone`, or `client_stalled` for one who stopped reading."""
        super().__init__(errno.ECONNRESET, outcome)
        self.outcome = outcome


CODES = frozenset(
    """
    bad_body bad_type too_large body_timeout bad_key missing_key unauth forbidden_origin not_found method
    rate_limited shed draining blocked_endpoint
    provider_auth provider_denied provider_bad_request provider_too_large provider_rate_limited provider_quota
    provider_error provider_overloaded content_filter
    up_connect up_dns up_tls up_timeout up_idle up_reset up_truncated up_bad_data up_too_large up_encoding up_redirect
    up_protocol up_empty db_unavailable auth_unavailable vault_locked internal
    """.split()
)
"""Every `code` that an error can carry."""
