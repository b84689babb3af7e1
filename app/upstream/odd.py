"""Chunks that are not plain -> what they say: content that is no string, errors in any shape, fields of any kind."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from app.answer import Failure, Reasoning, Text

MAX_ODD_BYTES = 128 * 1024
"""How much of a chunk that is not plain is looked at; of a larger one, only what is needed and not larger itself."""
MAX_PARTS = 10_000
"""How many parts one content may have, in whatever depth."""

Kind = type[Text] | type[Reasoning]
Said = list[tuple[Kind, str]]

_ERROR_CODES = ("error_code", "errorCode", "err_code", "errcode", "errno")
_ERROR_SENTENCES = ("error_message", "error_msg", "errorMessage", "errorMsg", "err_msg", "errmsg")
ERRORS = ("error", "errors", "err", *_ERROR_CODES, *_ERROR_SENTENCES, "error_type", "errorType", "error_detail")
"""Members that only an error has, unless they are empty."""
_ERRORS = frozenset(ERRORS)

_CODES = ("code", "status_code", "status")
_SENTENCES = ("message", "msg", "status_msg", "detail")
_HARMLESS_WORDS = {"", "0", "200", "false", "none", "null", "ok", "success", "succeeded", "no_error"}
"""What stands for "no error" where an error, its code or its sentence would stand."""

_TEXTS = ("text", "refusal", "content", "value")
_THOUGHTS = ("thinking", "reasoning", "reasoning_content", "summary", *_TEXTS)
"""Where a part has its text, or its thought."""
_THINKING = {"thinking", "reasoning", "reasoning.text", "reasoning.summary", "reasoning_text", "thought"}
_UNTOLD = {"reference", "tool_reference", "image_url", "redacted_thinking", "reasoning.encrypted"}
"""Parts that are no text and that no text is missing without."""

_NAMES = {"choices", "usage", "x_groq", "base_resp", "object", "type", *ERRORS, *_CODES, *_SENTENCES}


class Odd(NamedTuple):
    """What a chunk says that is not plain."""

    said: Said
    message: Said
    """What its message says, which is the whole answer so far."""
    usage: object
    reason: str
    native_reason: str
    """Its finish reason, and the one that stands behind it."""
    error: object
    """What the provider says went wrong, None if nothing did."""
    is_known: bool
    """Whether it has choices or a usage, as all chunks have."""


class _Written(float):
    """A number that is told as it was written."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


class _First(msgspec.Struct, array_like=True):
    """A list of which only the first item is looked at."""

    first: msgspec.Raw = msgspec.Raw(b"null")


_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_first = msgspec.json.Decoder(_First).decode


def bad_data(cause: Exception | None = None) -> Failure:
    """Return the failure of an answer that cannot be understood."""
    failure = Failure(500, "up_bad_data", "The provider sent data that could not be understood.")
    failure.__cause__ = cause
    return failure


def members(event: bytes) -> dict[str, Any]:
    """Return a chunk's members; of a list, those of its first, in which some providers wrap an error.

    Raises `Failure` for what is not JSON in UTF-8.
    """
    body = _json(event) if len(event) <= MAX_ODD_BYTES else _large(event)
    if isinstance(body, list) and body:
        body = {name: value for name, value in _members(body[0]).items() if name not in {"choices", "usage"}}
    return _members(body)


def read_odd(body: Mapping[str, Any]) -> Odd:
    """Read a chunk of any shape. Raises `Failure` for content that cannot be told."""
    choices, groq = body.get("choices"), body.get("x_groq")
    first: Any = choices[0] if isinstance(choices, list) and choices else None
    choice = first if isinstance(first, dict) else {}
    usage = _members(groq).get("usage") if body.get("usage") is None else body["usage"]
    return Odd(
        [*_texts(choice.get("delta")), *spoken(choice.get("text"))],
        _texts(choice.get("message")),
        usage,
        _word(choice.get("finish_reason")),
        _word(choice.get("native_finish_reason")),
        _error(body, choice, is_answer=bool(choice or usage)),
        is_known=isinstance(choices, list) or usage is not None,
    )


def error_in(data: bytes) -> object:
    """Return the error in the data of an event that calls itself one: an object, or else a sentence."""
    sentence = data.decode(errors="replace")
    try:
        body = members(data)
    except Failure:
        return sentence
    return _error(body, {}, is_answer=False) or body or sentence.strip('{}" ')


def spoken(content: object) -> Said:
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


def _inside(kind: Kind, part: Mapping[str, Any]) -> list[tuple[Kind, object]]:
    """Return what a part has inside, none if that is harmless; what cannot be told of a thought is, of text is not."""
    name = part.get("type") if isinstance(part.get("type"), str) else ""
    if name in _THINKING or kind is Reasoning:
        return [(Reasoning, _first_of(part, _THOUGHTS))]
    places = [place for place in _TEXTS if place in part]
    if not places and name not in _UNTOLD and any(value for place, value in part.items() if place != "type"):
        raise bad_data()
    return [(kind, _first_of(part, places))]


def _first_of(part: Mapping[str, Any], places: Iterable[str]) -> object:
    """Return what is in the first of these places that is not empty; a zero is not."""
    return next((part[place] for place in places if part.get(place) not in (None, "", [], {})), None)


def _number(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise bad_data()
    return str(value)


def _texts(delta: object) -> Said:
    """Return what a delta or a message says: what was thought, under whichever name, then what is told."""
    if not isinstance(delta, dict):
        return spoken(delta)
    content = spoken(delta.get("content"))
    thoughts = [
        spoken({"type": "thinking", "thinking": delta.get(name)}) for name in ("reasoning", "reasoning_content")
    ]
    thought = thoughts[0] or thoughts[1]
    if thought:
        content = [(kind, text) for kind, text in content if kind is Text]
    return [*thought, *content, *spoken(delta.get("refusal"))]


def _word(value: object) -> str:
    """Return a finish reason, which may be the type of an object."""
    value = value.get("type") if isinstance(value, dict) else value
    return value if isinstance(value, str) else ""


def _error(body: Mapping[str, Any], choice: Mapping[str, Any], *, is_answer: bool) -> object:
    """Return what a chunk says went wrong, None if nothing did; an empty error beside an answer is none."""
    for place in (body, _members(body.get("x_groq")), choice):
        if not _ERRORS.isdisjoint(place) and any(not _is_harmless(place.get(name)) for name in ERRORS):
            return _complaint(place)
    if body.get("error") == {} and not is_answer:
        return {}
    if any(body.get(name) == "error" for name in ("object", "type", "status")):
        return {"message": _complaint(body)["message"]}
    if not is_answer and not _is_harmless(body.get("detail")):
        return _complaint(body)
    for place in (body, _members(body.get("base_resp"))):
        if _has_failure_code(place, is_answer=is_answer) and _sentence(place, _SENTENCES):
            return _complaint(place)
    return None


def _has_failure_code(place: Mapping[str, Any], *, is_answer: bool) -> bool:
    """Tell whether there is a code that means failure; a word is one only where no answer is."""
    status, codes = place.get("status"), [place.get("code"), place.get("status_code")]
    if isinstance(status, int) and status >= 400:  # noqa: PLR2004
        return True
    words = [code for code in codes if isinstance(code, str | int) and not _is_harmless(code)]
    return any(not is_answer or str(code).lstrip("-").isdecimal() for code in words)


def _complaint(place: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON is anything
    """Return the error object, or one made of the code and the sentence that stand in its place."""
    for error in (place.get("error"), place.get("errors")):
        if error and isinstance(error, dict | list):
            return error
    code = next(filter(None, map(place.get, (*_ERROR_CODES, *_CODES))), None)
    return {"message": _sentence(place, (*_ERROR_SENTENCES, *_SENTENCES, *ERRORS)), "code": code}


def _sentence(place: Mapping[str, Any], names: tuple[str, ...]) -> object:
    """Return the first sentence under these names, or what may have one inside."""
    found = [place[name] for name in names if isinstance(place.get(name), str | list | dict)]
    return next((sentence for sentence in found if not _is_harmless(sentence)), None)


def _is_harmless(value: object) -> bool:
    return not value or (isinstance(value, str | int) and str(value).strip().lower() in _HARMLESS_WORDS)


def _members(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _large(event: bytes) -> dict[str, Any]:
    """Read of a large chunk only what is used, if that is not large; of the choices only the first."""
    try:
        raw = _decode_members(event)
        members = {name: bytes(raw[name]) for name in raw.keys() & _NAMES}
        choices = members.get("choices", b"")
        if choices.startswith(b"["):
            members["choices"] = b"[%b]" % bytes(_decode_first(choices).first)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise bad_data(error) from error
    if len(members.get("choices", b"")) > MAX_ODD_BYTES:
        raise bad_data()
    return {name: _json(value) for name, value in members.items() if len(value) <= MAX_ODD_BYTES}


def _json(data: bytes) -> Any:  # noqa: ANN401 - JSON is anything
    try:
        return json.loads(data.decode(), parse_float=_Written, parse_constant=_Written, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise bad_data(error) from error


def _integer(text: str) -> float:
    return _Written(text) if text == "-0" else int(text)
