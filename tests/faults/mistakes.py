"""Mistakes of a programmer's: a provider that breaks, and what blocks the event loop."""

import hashlib
from collections.abc import Iterator

from gevent.monkey import get_original

from app.answer import Answer, Piece, Text
from app.providers import openai
from app.question import Chat, Profile, Provider
from app.upstream import Upstream

BEFORE = "before the mistake"
MISTAKE = "a mistake that nobody outside should read of"


def _ask(chat: Chat, _profile: Profile, _upstream: Upstream) -> Answer:
    """Break where the model's name says: `at once`, at the `first` piece, or `after` some."""
    if chat.model == "at once":
        raise RuntimeError(MISTAKE)
    return Answer(_reads(chat.model), lambda: None)


def _reads(where: str) -> Iterator[list[Piece]]:
    if where == "after":
        yield [Text(BEFORE)]
    raise RuntimeError(MISTAKE)


PROVIDER = Provider("mistaken", "Mistaken", openai.KEY, _ask, openai.check)


def sleep() -> str:
    """Block where Python can still hear a signal."""
    get_original("time", "sleep")(60)
    return ""


def compute() -> str:
    """Block where it cannot, for about a minute."""
    return hashlib.pbkdf2_hmac("sha256", b"", b"", 2**28).hex()
