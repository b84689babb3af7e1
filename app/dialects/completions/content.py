"""Content -> spans of text and reasoning. Providers write it as strings, numbers, parts, or nested lists of these."""

from collections.abc import Iterable, Mapping
from typing import Any

from ...answer import Reasoning, Text
from ...failure import Code, Failure
from ..words import members

MAX_PARTS = 10_000
"""How many parts one content may have, at all depths together."""

Kind = type[Text] | type[Reasoning]
Spans = list[tuple[Kind, str]]
"""Spans of text and reasoning, in their order."""

_TEXTS = ("text", "refusal", "content", "value", "output_text", "transcript", "parts")
_THOUGHTS = ("thinking", "reasoning", "reasoning_content", "summary", *_TEXTS)
"""The members in which a part has its text, or its reasoning."""
_THINKING = {"thinking", "reasoning", "reasoning.text", "reasoning.summary", "reasoning_text", "thought"}
_SKIPPED_TYPES = {"reference", "tool_reference", "image_url", "redacted_thinking", "reasoning.encrypted"}
"""The types of parts that are left out: they are not text."""
_EXTRAS = {"type", "id", "index", "role", "name", "annotations", "citations", "logprobs", "cache_control", "signature"}
"""Members of a part, a delta or a choice that are not text."""

_REASONING = ("reasoning", "reasoning_content", "reasoning_details", "thinking")
_OTHER_PLACES = ("text", "output_text", "parts", "message", "content", "transcript")
"""Where some providers put the text of a delta instead of in `content`."""
_IGNORED = {
    *_EXTRAS,
    *("delta", "message", "finish_reason", "native_finish_reason", "stop_reason", "matched_stop", "seed", "error"),
    *("tool_calls", "function_call", "audio", "images", "token_ids", "prompt_token_ids", "channel", "obfuscation"),
    *("content_filter_results", "content_filter_result", "content_filter_offsets", "encrypted_content"),
    *_REASONING,
}
"""Members of a delta or a choice that can be ignored: no text is lost."""


def unreadable(cause: Exception | None = None) -> Failure:
    """Return the failure for an answer that cannot be understood."""
    failure = Failure(Code.UP_BAD_DATA, "The provider sent data that could not be understood.")
    failure.__cause__ = cause
    return failure


def read_choice(choice: object) -> Spans:
    """Return the spans of a choice: from its delta, or else from the choice itself, where completions have them."""
    if not isinstance(choice, dict):
        return read_content(choice) if isinstance(choice, str) else []
    spans = read_delta(choice.get("delta"))
    if any(kind is Text for kind, _ in spans):
        return spans
    return [*spans, *(read_content(choice.get("text")) or read_content(choice.get("content")))]


def read_delta(delta: object) -> Spans:
    """Return the spans of a delta or a message: the reasoning, under any of its names, then the text."""
    if not isinstance(delta, dict):
        return read_content(delta)
    content, refused = read_content(delta.get("content")), delta.get("refusal")
    refusal = read_content(refused) if not isinstance(refused, bool) else []  # a boolean is a flag
    if not content and not refusal:
        content = _read_other_places(delta)
    thoughts = (read_content({"type": "thinking", "thinking": delta.get(name)}) for name in _REASONING)
    thought = next(filter(None, thoughts), [])
    if thought:
        content = [(kind, text) for kind, text in content if kind is Text]
    return [*thought, *content, *refusal]


def has_unknown_text(place: Mapping[str, Any]) -> bool:
    """Tell whether a delta or a choice has a value that could be text under a name that is not known."""
    return any(name not in _IGNORED and isinstance(value, str | list | dict) and value for name, value in place.items())


def read_content(content: object) -> Spans:
    """Return the spans of content: a string, a number, a part, or a list of these.

    https://docs.mistral.ai/capabilities/reasoning has lists. Raises `Failure` for any other value that is not empty.
    """
    spans: Spans = []
    left: list[tuple[Kind, object]] = [(Text, content)]
    for _ in range(MAX_PARTS):
        if not left:
            return spans
        kind, part = left.pop()
        if isinstance(part, list):
            left += [(kind, item) for item in reversed(part)]
        elif isinstance(part, dict):
            left += _content_of_part(kind, part)
        elif isinstance(part, str):
            spans += [(kind, part)] * bool(part)
        elif part is not None and not (kind is Reasoning and isinstance(part, bool)):  # a boolean is a flag
            spans.append((kind, _number(part)))
    raise unreadable()


def _read_other_places(delta: Mapping[str, Any]) -> Spans:
    places = [*map(delta.get, _OTHER_PLACES), members(delta.get("audio")).get("transcript")]
    return next(filter(None, map(read_content, places)), [])


def _content_of_part(kind: Kind, part: Mapping[str, Any]) -> list[tuple[Kind, object]]:
    """Return the content of a part. Raises `Failure` where a text could be lost; lost reasoning does no harm."""
    name = part.get("type") if isinstance(part.get("type"), str) else ""
    if name in _THINKING or kind is Reasoning:
        return [(Reasoning, _first_of(part, _THOUGHTS))]
    place = next((place for place in _TEXTS if _is_set(part.get(place))), "")
    is_alone = not place or place == "value"  # beside a value, a unit could stand
    if name not in _SKIPPED_TYPES and is_alone and any(part[other] for other in part.keys() - {place, *_EXTRAS}):
        raise unreadable()
    return [(kind, part.get(place))]


def _first_of(part: Mapping[str, Any], places: Iterable[str]) -> object:
    """Return the value of the first of these members that is not empty."""
    return next((part[place] for place in places if _is_set(part.get(place))), None)


def _is_set(value: object) -> bool:
    """Tell whether a value is not empty; zero and False count as values."""
    return value not in (None, "", [], {})


def _number(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise unreadable()
    return str(value)
