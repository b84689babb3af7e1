"""The answer: its pieces, which are all that passes between those who ask and those who tell."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple


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
