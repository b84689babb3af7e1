"""The tolerant decoder, for chunks that are not plain: content of any type, errors in any shape, unknown members."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from ...failure import Failure
from .. import words
from ..sentence import normalised, read_json
from ..words import members
from .content import Spans, has_unknown_text, read_choice, unreadable

MAX_ITEMS = 30_000
"""How many commas and brackets one chunk may have to be decoded whole; of a larger one, only needed members are."""

_TEXTS = ("delta", "text", "content", "output_text", "response")
"""Where an event without choices could have a text."""


class Chunk(NamedTuple):
    """The content of a chunk that is not plain."""

    spans: Spans
    message: object
    """Its message, which may be the whole answer so far."""
    usage: object
    ending: str
    error: object
    """The error that the provider reports, or None."""
    is_known: bool
    """Whether it has choices or a usage, as all chunks have."""
    has_unknown_text: bool
    """Whether there may be text under a name that is not known."""


class _Written(float):
    """A number that keeps its spelling in the JSON."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


class _Choices(msgspec.Struct, array_like=True):
    """A list whose first item alone is decoded."""

    first: msgspec.Raw = msgspec.Raw(b"null")


_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_choices = msgspec.json.Decoder(_Choices).decode


def decoded(event: bytes) -> dict[str, Any]:
    """Return the members of a chunk; some providers wrap it, or an error, in a list.

    Raises `Failure` if the event is not JSON in UTF-8.
    """
    body = _json(event) if _items(event) <= MAX_ITEMS else _large(event)
    if isinstance(body, list) and body:
        found = members(body[0])
        if len(body) > 1 and any("choices" in members(item) for item in body):
            raise unreadable()
        return found
    return members(body)


def read(body: Mapping[str, Any]) -> Chunk:
    """Read a chunk of any shape. Raises `Failure` if it has text that cannot be read."""
    choices, wrapped = body.get("choices"), members(body.get("x_groq"))
    first = _first(choices)
    choice = members(first)
    usage = wrapped.get("usage") if body.get("usage") is None else body["usage"]
    spans = read_choice(first)
    error = words.error_in(body, choice, is_answer=bool(first or usage), is_text=bool(spans))
    is_known = bool(choices and isinstance(choices, list | dict)) or usage is not None
    if not is_known and error is None and any(map(body.get, _TEXTS)):
        raise unreadable()
    ending = words.ending(_word(choice.get("finish_reason")), _word(choice.get("native_finish_reason")))
    has_unknown = not spans and (has_unknown_text(choice) or has_unknown_text(members(choice.get("delta"))))
    return Chunk(spans, choice.get("message"), usage, ending, error, is_known, has_unknown)


def error_in(data: bytes) -> object:
    """Return the error in the data of an event that is marked as an error: an object, or else a sentence."""
    try:
        body = decoded(data)
    except Failure:
        return "" if data.lstrip()[:1] in {b"{", b"["} else data.decode(errors="replace")
    return words.error_in(body, {}, is_answer=False, is_text=False) or body or read_json(data)


def _first(choices: object) -> object:
    """Return the first choice that is not null; some providers send an object instead of a list of choices."""
    if isinstance(choices, list):
        return next((choice for choice in choices[:10] if choice is not None), None)
    return choices if isinstance(choices, dict) else None


def _word(value: object) -> str:
    """Return a finish reason as text; some providers send an object with a `type` or a `reason`, or a list."""
    value = value[0] if isinstance(value, list) and value else value
    value = value.get("type") or value.get("reason") if isinstance(value, dict) else value
    return value if isinstance(value, str) else ""


def _items(data: bytes) -> int:
    """Estimate how many values JSON has: the cost of decoding it grows with them."""
    return sum(map(data.count, (b",", b"[", b"{")))


def _large(event: bytes) -> dict[str, Any]:
    """Decode only the members of a large chunk that are used, and only the first choice."""
    raw = normalised(_raw_members(event))
    found: dict[str, Any] = {}
    left = MAX_ITEMS
    for name in ("choices", "usage", *words.NAMES & raw.keys()):
        if name in raw:
            data = bytes(raw[name]) if name != "choices" else _first_of(bytes(raw[name]))
            size = _items(data)
            found[name] = _json(data) if size <= left else _excerpt(name, data)
            left -= min(size, left)
    return found


def _excerpt(name: str, data: bytes) -> object:
    """Return a small part of a value that is too large: the sentence and the code of an error, or else True."""
    if name == "choices":
        raise unreadable()
    raw = normalised(_raw_members(data)) if data.startswith(b"{") else {}
    small = {inner: bytes(raw[inner]) for inner in (*words.SENTENCES, "code", "type") if inner in raw}
    return {inner: _json(value) for inner, value in small.items() if _items(value) < MAX_ITEMS // 100} or True


def _raw_members(data: bytes) -> Mapping[str, msgspec.Raw]:
    try:
        return _decode_members(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise unreadable(error) from error


def _first_of(choices: bytes) -> bytes:
    """Shorten a list of choices to the first."""
    if not choices.startswith(b"["):
        return choices
    try:
        return b"[%b]" % bytes(_decode_choices(choices).first)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise unreadable(error) from error


def _json(data: bytes) -> Any:  # noqa: ANN401 - JSON is anything
    # Not msgspec, which keeps no spelling of a number, and refuses NaN and half a surrogate pair.
    try:
        return json.loads(data.decode(), parse_float=_Written, parse_constant=_Written, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise unreadable(error) from error


def _integer(text: str) -> float:
    return _Written(text) if text == "-0" else int(text)
