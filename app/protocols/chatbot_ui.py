"""Plain text, as chatbot-ui reads it: the text of the answer, and a note in brackets if the answer is not complete.

Plain text has no error events, and some clients take even a broken connection for the end of the answer.
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
"""The sentences for the finish reasons of answers that are not complete."""


def frames(answer: Answer, *, notes: bool = True, limited: bool = False) -> Iterator[bytes]:
    """Yield the text of each read. A read without text yields `b""`, which makes the server flush the headers.

    With `notes`, an answer that is not complete ends in a sentence with the reason: a failure, which is then raised;
    the output limit, unless the client set it (`limited`); a content filter.
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
    """Return why an answer with a proper end is not complete; empty if it is complete."""
    reason = next((piece.reason for piece in pieces if isinstance(piece, Finish)), "")
    return "" if limited and reason == "length" else _SHORT.get(reason, "")


def _note(last: bytes, why: str) -> bytes:
    """Format the note as a line of its own, with a blank line above it if there was any text (`last`)."""
    gap = b"" if not last else b"\n" if last.endswith(b"\n") else b"\n\n"
    return gap + f"[This answer is incomplete. {' '.join(why.split())}]".encode()
