"""The record of a simulated provider: its paths, its refusals, and its form for each part of an answer."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

Json = dict[str, Any]
"""A JSON object as the json module reads it."""

RefusalReason = Literal[
    "path", "no key", "wrong key", "json", "no model", "unknown model", "invalid", "context", "rate", "quota", "filter",
    "server",
]  # fmt: skip
"""The reasons to refuse a request. Each provider has its own body for each of them."""

CREATED = 1767225600
"""The time of all answers: 2026-01-01, in seconds since the epoch. Fixed, so that all answers have the same bytes."""

PROMPT_TOKENS = 17
"""How many tokens every prompt has."""

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Request:
    """One numbered request. `path` and `query` are those that the provider would see, still percent-encoded.

    `key` is empty when none was sent, `body` when it is not a JSON object. `model` is the whole name and `base` the
    name without its faults.
    """

    number: int
    method: str
    path: str
    query: str
    key: str
    body: Json
    model: str
    base: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer: its status, and its JSON body, whose texts may have placeholders for `filled`."""

    status: int
    body: Json


@dataclass(frozen=True, slots=True)
class Content:
    """What one answer says. `usage` is whether it has token counts, `padded` whether its events have padding."""

    model: str
    reasoning: tuple[str, ...]
    words: tuple[str, ...]
    finish: str
    usage: Literal["never", "unasked", "asked"]
    padded: bool

    @property
    def tokens(self) -> dict[str, int]:
        """The token counts that every provider gives."""
        written = len(self.reasoning) + len(self.words)
        return {
            "prompt_tokens": PROMPT_TOKENS,
            "completion_tokens": written,
            "total_tokens": PROMPT_TOKENS + written,
        }


@dataclass(frozen=True, slots=True)
class Renderer:
    """Renders each part of an answer in a provider's form: whole server-sent events as bytes, with LF line ends.

    `word` and `reasoning` take the number of the piece, from 0, and its text. `ending` ends in `DONE`. `error` is the
    event of an error in the middle of a stream. `whole` is the body of an answer that is not streamed.
    """

    opening: Callable[[Content], tuple[bytes, ...]]
    reasoning: Callable[[Content, int, str], bytes]
    word: Callable[[Content, int, str], bytes]
    ending: Callable[[Content], tuple[bytes, ...]]
    error: bytes
    whole: Callable[[Content], bytes]


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedProvider:
    """A provider as it is simulated. It is compared by identity, so that it can be the key of a cache.

    `name` is the first segment of its paths, `base` what a client takes for its base URL. `headers` go with every
    answer, {id} and {left} filled in. `model` finds the model in a path, a query and a body: None where the path is
    none of the provider's, "" where the model is missing. `check` refuses what the provider's schema refuses. `models`
    is the body of the list at `models_path`, a path with its query. `settings` are variables of the service that it
    needs beside the key and the address.
    """

    name: str
    base: str
    stream_type: str
    headers: Mapping[str, str]
    key: Callable[[Mapping[str, str]], str]
    model: Callable[[str, str, Json], str | None]
    check: Callable[[Request], Refusal | None]
    models_path: re.Pattern[str]
    models: Json
    refusals: Mapping[RefusalReason, Refusal]
    refusals_by_status: Mapping[int, Refusal]
    renderer: Renderer
    settings: Mapping[str, str] = field(default_factory=dict)


def encode(value: object, *, sort_keys: bool = False) -> bytes:
    """Encode as JSON in raw UTF-8. A lone surrogate, which UTF-8 cannot encode, stays an escape."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=sort_keys)
    return text.encode("utf-8", "backslashreplace")


def event(value: object, *, sort_keys: bool = False) -> bytes:
    """Render one server-sent event."""
    return b"data: %s\n\n" % encode(value, sort_keys=sort_keys)


def filled(refusal: Refusal, **values: str) -> Refusal:
    """Return the refusal with `{name}` in its texts replaced by the value of that name."""

    def fill(node: object) -> object:
        if isinstance(node, dict):
            return {key: fill(value) for key, value in node.items()}
        if isinstance(node, list):
            return [fill(value) for value in node]
        return node.format_map(values) if isinstance(node, str) else node

    return replace(refusal, body=cast("Json", fill(refusal.body)))


def bearer(headers: Mapping[str, str]) -> str:
    """Return the key of `Authorization: Bearer`, or nothing."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def model_in(body: Json) -> str:
    """Return the body's `model`, or nothing."""
    model = body.get("model")
    return model if isinstance(model, str) else ""


def messages_in(body: Json) -> list[Json]:
    """Return those of the body's messages that are objects."""
    messages = body.get("messages")
    return [message for message in messages if isinstance(message, dict)] if isinstance(messages, list) else []
