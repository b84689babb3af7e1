"""Answers made by hand."""

from collections.abc import Iterator

from app.answer import Answer, Piece

HARD_TEXTS = [
    "a\nb",
    "a\r\nb",
    "a\rb",
    "\n\n",
    "\r",
    "data: x\n\ndata: y",
    "\n\ndata: [DONE]\n\n",
    ": comment",
    "event: error\n",
    "\u2028\u2029\u0085",
    "a\0b\x1b\x7f",
    '"quoted" \\ back\\nslash',
    "</script><!--",
    "\ufeffBOM",
    "😀 é e\u0301 \U0010ffff",
    "  spaces  ",
    "{}",
    "[DONE]",
    "a" * 100_000,
]


def answer_of(*reads: list[Piece] | BaseException) -> Answer:
    """Make an answer of these reads; an exception among them is raised."""
    return Answer(_reads(reads), lambda: None)


def _reads(reads: tuple[list[Piece] | BaseException, ...]) -> Iterator[list[Piece]]:
    for read in reads:
        if isinstance(read, BaseException):
            raise read
        yield read
