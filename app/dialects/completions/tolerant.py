"""Chunks that are not plain -> what they say: content that is no string, errors in any shape, fields of any kind."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from ...failure import Failure
from .. import words
from ..sentence import plainly_named, read_json
from ..words import members
from .content import Said, bad_data, choice_says, hides

MAX_ITEMS = 30_000
"""How many commas and brackets are decoded of one chunk; of a larger one, only what is needed, up to as many."""

_TEXTS = ("delta", "text", "content", "output_text", "response")
"""Where an event without choices would have a text."""


class Chunk(NamedTuple):
    """What a chunk says that is not plain."""

    said: Said
    message: object
    """Its message, which may be the whole answer so far."""
    usage: object
    ending: str
    error: object
    """What the provider says went wrong, None if nothing did."""
    is_known: bool
    """Whether it has choices or a usage, as all chunks have."""
    hides: bool
    """Whether there may be a text in it that is not found."""


class _Written(float):
    """A number that is told as it was written."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


class _Choices(msgspec.Struct, array_like=True):
    """A list of which only the first item is looked at."""

    first: msgspec.Raw = msgspec.Raw(b"null")


_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_choices = msgspec.json.Decoder(_Choices).decode


def decoded(event: bytes) -> dict[str, Any]:
    """Return a chunk's members; of a list, in which some wrap a chunk or an error, those of its first.

    Raises `Failure` for what is not JSON in UTF-8.
    """
    body = _json(event) if _items(event) <= MAX_ITEMS else _large(event)
    if isinstance(body, list) and body:
        found = members(body[0])
        if len(body) > 1 and any("choices" in members(item) for item in body):
            raise bad_data()
        return found
    return members(body)


def read(body: Mapping[str, Any]) -> Chunk:
    """Read a chunk of any shape. Raises `Failure` for text that cannot be told."""
    choices, groq = body.get("choices"), members(body.get("x_groq"))
    first = _first(choices)
    choice = members(first)
    usage = groq.get("usage") if body.get("usage") is None else body["usage"]
    said = choice_says(first)
    error = words.error_in(body, choice, is_answer=bool(first or usage), is_text=bool(said))
    is_known = bool(choices and isinstance(choices, list | dict)) or usage is not None
    if not is_known and error is None and any(map(body.get, _TEXTS)):
        raise bad_data()
    ending = words.ending(_word(choice.get("finish_reason")), _word(choice.get("native_finish_reason")))
    is_hiding = not said and (hides(choice) or hides(members(choice.get("delta"))))
    return Chunk(said, choice.get("message"), usage, ending, error, is_known, is_hiding)


def error_in(data: bytes) -> object:
    """Return the error in the data of an event that calls itself one: an object, or else a sentence."""
    try:
        body = decoded(data)
    except Failure:
        return "" if data.lstrip()[:1] in {b"{", b"["} else data.decode(errors="replace")
    return words.error_in(body, {}, is_answer=False, is_text=False) or body or read_json(data)


def _first(choices: object) -> object:
    """Return the first choice that is one; some have an object, or a text, where a list of choices belongs."""
    if isinstance(choices, list):
        return next((choice for choice in choices[:10] if choice is not None), None)
    return choices if isinstance(choices, dict) else None


def _word(value: object) -> str:
    """Return a finish reason, which may be the type of an object, or in a list."""
    value = value[0] if isinstance(value, list) and value else value
    value = value.get("type") or value.get("reason") if isinstance(value, dict) else value
    return value if isinstance(value, str) else ""


def _items(data: bytes) -> int:
    """Return about how many values JSON has, which is what decoding it costs."""
    return sum(map(data.count, (b",", b"[", b"{")))


def _large(event: bytes) -> dict[str, Any]:
    """Read of a large chunk only what is used, and of the choices only the first."""
    raw = plainly_named(_raw_members(event))
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
    """Return what can be read of a value that is too large: of an error the sentence; too large is not absent."""
    if name == "choices":
        raise bad_data()
    raw = plainly_named(_raw_members(data)) if data.startswith(b"{") else {}
    small = {inner: bytes(raw[inner]) for inner in (*words.SENTENCES, "code", "type") if inner in raw}
    return {inner: _json(value) for inner, value in small.items() if _items(value) < MAX_ITEMS // 100} or True


def _raw_members(data: bytes) -> Mapping[str, msgspec.Raw]:
    try:
        return _decode_members(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise bad_data(error) from error


def _first_of(choices: bytes) -> bytes:
    """Cut a list of choices down to the first."""
    if not choices.startswith(b"["):
        return choices
    try:
        return b"[%b]" % bytes(_decode_choices(choices).first)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise bad_data(error) from error


def _json(data: bytes) -> Any:  # noqa: ANN401 - JSON is anything
    try:
        return json.loads(data.decode(), parse_float=_Written, parse_constant=_Written, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise bad_data(error) from error


def _integer(text: str) -> float:
    return _Written(text) if text == "-0" else int(text)
