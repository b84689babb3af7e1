"""Telling: pieces -> the bytes of one client protocol. A new one is its file, and its media type in `WIRES`."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from ..answer import Answer
from . import text, ui


class Wire(Protocol):
    """What each module here offers.

    `frames` yields what is written, one item for each read of the answer. It lets a `Gone` pass; it tells a `Failure`
    if its protocol can, and lets it pass if not. Where a protocol has only the answer's own text to tell with, `notes`
    says whether it may, and `limited` that the client itself has set how long the answer may be.
    """

    MODE: str
    """Its name in the record of a chat."""
    HEADERS: dict[str, str]

    def frames(self, answer: Answer, /, *, notes: bool = True, limited: bool = False) -> Iterator[bytes]:
        """Turn an answer into bytes."""


WIRES: Mapping[str, Wire] = {"text/plain": text, "text/event-stream": ui}
"""Client protocols by the media type that chooses them in `Accept`; the first one where none is chosen."""
