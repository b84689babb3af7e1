"""What content says, in whatever shape a provider writes it: strings, numbers, parts, and lists of such."""

from collections.abc import Iterable, Mapping
from typing import Any

from ...answer import Reasoning, Text
from ...failure import Code, Failure
from ..words import members

MAX_PARTS = 10_000
"""How many parts one content may have, in whatever depth."""

Kind = type[Text] | type[Reasoning]
Said = list[tuple[Kind, str]]

_TEXTS = ("text", "refusal", "content", "value", "output_text", "transcript", "parts")
_THOUGHTS = ("thinking", "reasoning", "reasoning_content", "summary", *_TEXTS)
"""Where a part has its text, or its thought."""
_THINKING = {"thinking", "reasoning", "reasoning.text", "reasoning.summary", "reasoning_text", "thought"}
_UNTOLD = {"reference", "tool_reference", "image_url", "redacted_thinking", "reasoning.encrypted"}
"""Parts that are no text and that no text is missing without."""
_ASIDES = {"type", "id", "index", "role", "name", "annotations", "citations", "logprobs", "cache_control", "signature"}
"""Members of a part, a delta or a choice that are no text."""

_REASONING = ("reasoning", "reasoning_content", "reasoning_details", "thinking")
_ELSEWHERE = ("text", "output_text", "parts", "message", "content", "transcript")
"""Where a text is that is not where it belongs."""
_BESIDE = {
    *_ASIDES,
    *("delta", "message", "finish_reason", "native_finish_reason", "stop_reason", "matched_stop", "seed", "error"),
    *("tool_calls", "function_call", "audio", "images", "token_ids", "prompt_token_ids", "channel", "obfuscation"),
    *("content_filter_results", "content_filter_result", "content_filter_offsets", "encrypted_content"),
    *_REASONING,
}
"""Members of a delta or a choice without which no text is missing."""


def bad_data(cause: Exception | None = None) -> Failure:
    """Return the failure of an answer that cannot be understood."""
    failure = Failure(Code.UP_BAD_DATA, "The provider sent data that could not be understood.")
    failure.__cause__ = cause
    return failure


def choice_says(choice: object) -> Said:
    """Return what a choice says: in its delta, or else in itself, as completions do and some chats, too."""
    if not isinstance(choice, dict):
        return says(choice) if isinstance(choice, str) else []
    said = delta_says(choice.get("delta"))
    if any(kind is Text for kind, _ in said):
        return said
    return [*said, *(says(choice.get("text")) or says(choice.get("content")))]


def delta_says(delta: object) -> Said:
    """Return what a delta or a message says: what was thought, under whichever name, then what is told."""
    if not isinstance(delta, dict):
        return says(delta)
    content, refused = says(delta.get("content")), delta.get("refusal")
    refusal = says(refused) if not isinstance(refused, bool) else []  # which is a mere switch
    if not content and not refusal:
        content = _says_elsewhere(delta)
    thought = next(filter(None, (says({"type": "thinking", "thinking": delta.get(name)}) for name in _REASONING)), [])
    if thought:
        content = [(kind, text) for kind, text in content if kind is Text]
    return [*thought, *content, *refusal]


def hides(place: Mapping[str, Any]) -> bool:
    """Tell whether a delta or a choice has something that could be a text under a name that nobody knows."""
    return any(name not in _BESIDE and isinstance(value, str | list | dict) and value for name, value in place.items())


def says(content: object) -> Said:
    """Return what content says: a string, a number, a part, or a list of such, in their order.

    https://docs.mistral.ai/capabilities/reasoning has lists. Raises `Failure` for what is neither empty nor telling.
    """
    said: Said = []
    left: list[tuple[Kind, object]] = [(Text, content)]
    for _ in range(MAX_PARTS):
        if not left:
            return said
        kind, part = left.pop()
        if isinstance(part, list):
            left += [(kind, item) for item in reversed(part)]
        elif isinstance(part, dict):
            left += _inside(kind, part)
        elif isinstance(part, str):
            said += [(kind, part)] * bool(part)
        elif part is not None and not (kind is Reasoning and isinstance(part, bool)):  # which is a mere switch
            said.append((kind, _number(part)))
    raise bad_data()


def _says_elsewhere(delta: Mapping[str, Any]) -> Said:
    places = [*map(delta.get, _ELSEWHERE), members(delta.get("audio")).get("transcript")]
    return next(filter(None, map(says, places)), [])


def _inside(kind: Kind, part: Mapping[str, Any]) -> list[tuple[Kind, object]]:
    """Return what a part has inside, none if that is harmless; what cannot be told of a thought is, of text is not."""
    name = part.get("type") if isinstance(part.get("type"), str) else ""
    if name in _THINKING or kind is Reasoning:
        return [(Reasoning, _first_of(part, _THOUGHTS))]
    place = next((place for place in _TEXTS if _is_there(part.get(place))), "")
    is_alone = not place or place == "value"  # beside which a unit could be
    if name not in _UNTOLD and is_alone and any(part[other] for other in part.keys() - {place, *_ASIDES}):
        raise bad_data()
    return [(kind, part.get(place))]


def _first_of(part: Mapping[str, Any], places: Iterable[str]) -> object:
    """Return what is in the first of these places that is not empty."""
    return next((part[place] for place in places if _is_there(part.get(place))), None)


def _is_there(value: object) -> bool:
    """Tell whether there is something; a zero is, and so is what cannot be told."""
    return value not in (None, "", [], {})


def _number(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise bad_data()
    return str(value)
