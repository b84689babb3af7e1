"""Plain text: the answer's text and nothing else, so that only a broken connection can tell a failure."""

from collections.abc import Iterator

from app.answer import Answer, Text

MODE = "text"
HEADERS = {"Content-Type": "text/plain; charset=utf-8"}


def frames(answer: Answer) -> Iterator[bytes]:
    """Yield the text of each read; nothing of it is `b""`, at which a server sends the headers that still wait."""
    for pieces in answer:
        yield "".join([piece.text for piece in pieces if type(piece) is Text]).encode()
