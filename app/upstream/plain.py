"""The chunk that nearly all are, and how it is decoded: once, by types, at a tenth of the cost of any other."""

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from app.upstream.words import PLAIN, PLAIN_INNER

_Delta = msgspec.defstruct(
    "_Delta",
    [
        *((name, str | None, None) for name in ("content", "reasoning", "reasoning_content")),
        ("refusal", Literal[""] | None, None),
        *PLAIN_INNER,
    ],
)
_Choice = msgspec.defstruct(
    "_Choice",
    [
        ("delta", _Delta),
        ("text", str | None, None),
        *((name, Literal[""] | None, None) for name in ("finish_reason", "native_finish_reason")),
        *PLAIN_INNER,
    ],
)
_Choices = msgspec.defstruct("_Choices", [("choice", _Choice)], array_like=True)
decode: Callable[[bytes], Any] = msgspec.json.Decoder(
    msgspec.defstruct("_Chunk", [("choices", _Choices), ("usage", msgspec.Raw, msgspec.Raw(b"")), *PLAIN])
).decode
"""Takes a plain chunk: a delta that says something, and nothing else that counts but a usage.

Refuses what is none, above all one with an error or an end, which is then read as one of any shape.
"""
