"""Plain text, as chatbot-ui reads it: the answer's text, and a sentence in brackets behind one that ends short.

Text has no channel of its own for bad news, and a client may take even a broken connection for the end of the answer.
"""

from collections.abc import Iterator
from typing import Any, assert_never

from ..answer import Answer, Finish, Piece, Reasoning, Silence, Text
from ..failure import Failure
from . import schemas

MODE = "text"
HEADERS = {"Content-Type": "text/plain; charset=utf-8"}

read = schemas.read

_SHORT = {"content_filter": "A content filter stopped it.", "length": "It reached the limit of its length."}
"""What is said of the finish reasons of answers that are not whole."""


def frames(answer: Answer, *, notes: bool = True, limited: bool = False) -> Iterator[bytes]:
    """Yield the text of each read. A read without text yields `b""`, which makes the server flush the headers.

    With `notes`, an answer that ends short ends in a sentence that says why: a failure, which is then raised; the limit
    of its length, unless the answer is `limited` by its client; a content filter.
    """
    pieces: list[Piece] = []
    last = b""
    try:
        for pieces in answer:
            frame = "".join(map(_text, pieces)).encode()
            last = frame or last
            yield frame
    except Failure as failure:
        if notes:
            yield _note(last, failure.message)
        raise
    if notes and (why := _shortage(pieces, limited=limited)):
        yield _note(last, why)


def refusal(failure: Failure, request_id: str) -> dict[str, Any]:
    """Return the JSON of a failure."""
    return {"message": failure.message, "code": failure.code, "requestId": request_id}


def _text(piece: Piece) -> str:
    match piece:
        case Text(text):
            return text
        case Reasoning() | Silence() | Finish():
            return ""
        case _:
            assert_never(piece)


def _shortage(pieces: list[Piece], *, limited: bool) -> str:
    """Say why an answer that the provider ended is not whole; nothing if it is, or if it may be."""
    reason = next((piece.reason for piece in pieces if isinstance(piece, Finish)), "")
    return "" if limited and reason == "length" else _SHORT.get(reason, "")


def _note(last: bytes, why: str) -> bytes:
    """Write the sentence on a line of its own, below a blank one if there is a `last` text above it."""
    gap = b"" if not last else b"\n" if last.endswith(b"\n") else b"\n\n"
    return gap + f"[This answer is incomplete. {' '.join(why.split())}]".encode()
