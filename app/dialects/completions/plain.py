"""Typed decoders for plain chunks, which nearly all chunks are: a tenth of the cost of the tolerant decoder."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec

from ..words import PLAIN, PLAIN_INNER

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
"""Decodes a plain chunk: a delta with text or reasoning, and no other member that matters but a usage.

Refuses any other chunk, above all one with an error or an end; the tolerant decoder reads those.
"""

_RAW = msgspec.Raw(b"")
_SilentDelta = msgspec.defstruct(
    "_SilentDelta",
    [
        ("role", str | None, None),
        *((name, Literal[""] | None, None) for name in ("content", "refusal", "reasoning", "reasoning_content")),
        *((name, None, None) for name in ("tool_calls", "function_call", "reasoning_details")),
    ],
    forbid_unknown_fields=True,
)
_SilentChoice = msgspec.defstruct(
    "_SilentChoice",
    [
        ("index", int, 0),
        ("delta", _SilentDelta | None, None),
        *((name, str | None, None) for name in ("finish_reason", "native_finish_reason")),
        *((name, None, None) for name in ("logprobs", "stop_reason", "token_ids")),
        ("content_filter_results", msgspec.Raw, _RAW),
    ],
    forbid_unknown_fields=True,
)
decode_silent: Callable[[bytes], Any] = msgspec.json.Decoder(
    msgspec.defstruct(
        "_SilentChunk",
        [
            # mypy does not know a type that a call has made.
            ("choices", Annotated[list[_SilentChoice], msgspec.Meta(max_length=1)]),  # type: ignore[valid-type]
            ("object", Literal["", "chat.completion.chunk"] | None, None),
            *(
                (name, msgspec.Raw, _RAW)
                for name in ("usage", "id", "created", "model", "provider", "p", "obfuscation")
            ),
            *((name, str | None, None) for name in ("system_fingerprint", "service_tier")),
            ("error", None, None),
        ],
        forbid_unknown_fields=True,
    )
).decode
"""Decodes a chunk without text: a role, an end, a usage. Refuses one with a member that is not listed here."""
