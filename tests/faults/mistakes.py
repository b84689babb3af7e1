"""Mistakes of a programmer's: a provider that breaks, and what blocks the event loop."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from gevent.monkey import get_original

from app.answer import Answer, Piece, Text
from app.providers import PROVIDERS
from app.upstream import Upstream

BEFORE = "before the mistake"
MISTAKE = "a mistake that nobody outside should read of"
LABEL = "Mistaken"
_ask = Upstream.ask


def _ask_mistaken(upstream: Upstream, account: Any, dialect: Any, path: str, body: Any, **how: Any) -> Answer:  # noqa: ANN401
    """Break where the model's name says: `at once`, at the `first` piece, or `after` some."""
    if account.label != LABEL:
        return _ask(upstream, account, dialect, path, body, **how)
    if body["model"] == "at once":
        raise RuntimeError(MISTAKE)
    return Answer(_reads(body["model"]), lambda: None)


def _reads(where: str) -> Iterator[list[Piece]]:
    if where == "after":
        yield [Text(BEFORE)]
    raise RuntimeError(MISTAKE)


PROVIDER = replace(PROVIDERS["openai"], name="mistaken", label=LABEL, prefix="openai")
Upstream.ask = _ask_mistaken  # type: ignore[method-assign,assignment]


def sleep() -> str:
    """Block where Python can still hear a signal."""
    get_original("time", "sleep")(60)
    return ""


def compute() -> str:
    """Block where it cannot, for about a minute."""
    return hashlib.pbkdf2_hmac("sha256", b"", b"", 2**28).hex()
