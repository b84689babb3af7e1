"""Finds the sentence in a provider's error, in any nesting, and the objects that the error consists of."""

import json
import re
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

MAX_PLAIN_CHARACTERS = 500
_MAX_PLAIN_LINES = 3
_MAX_SEARCHED_CHARACTERS = 2000
"""How much of a text is searched for the tags of HTML; far less of it is shown."""
_MAX_LISTED = 20
"""How many errors of a list are read."""
_MAX_DEPTH = 8
_MAX_LAYERS = 20
_MAX_MEMBERS = 1000
"""How many members of one object, and how many values in all, are searched when no name is known."""

# Normalised names, as `normalised` returns them: in small letters, without separators.

_WRAPPERS = ("error", "errors", "err", "message", "msg", "detail", "fault", "exception")
"""The members that wrap an error: the inner error says more than the text beside it."""
_SENTENCES = (
    *("message", "msg", "detail", "details", "errormessage", "errormsg", "errmessage", "errmsg", "errordetail"),
    *("errordescription", "statusmsg", "statusmessage", "description", "faultstring", "reason", "title", "text"),
    *("error", "err", "exception", "fault", "hint"),
)
"""The members that have the sentence, the most telling one first; `error` may be only a word beside it."""
_FURTHER = ("details", "reason", "response", "data", "result", "header", "baseresp", "innererror", "cause", "status")
"""Further members in which an error may be, if there is no sentence in the others."""
_NEVER_SENTENCES = {
    *("input", "inputs", "prompt", "messages", "content", "contents", "request", "requestbody", "body", "query"),
    *("params", "parameters", "instructions", "loc", "path", "url", "uri", "model", "user", "name", "stack"),
    *(
        "stacktrace",
        "trace",
        "traceback",
        "debug",
        "date",
        "time",
        "timestamp",
        "createdat",
        "help",
        "link",
        "metadata",
    ),
}
"""Members whose text is never the sentence: the request, stack traces, dates and the like."""

_SEPARATORS = re.compile(r"[\W_]+")
_LIKE_A_SENTENCE = re.compile(r"[^\x21-\x7e]|[.!]\Z")
_HTML = re.compile(
    r"""
    <!doctype | <!-- | <\?xml | \A\s*<(?P<root>[a-z][\w:.-]*)(?=[\s/>]).*</(?P=root)> |
    </?(?: html | head | body | title | meta | link | style | script | div | span | p | h[1-6] | hr | center | pre
         | table | t[rdh] | [ou]l | li | form | img | svg | iframe | font | main | section | article | footer | noscript
         | button | blockquote )(?:[\s/>]|\Z)
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_MARKUP = re.compile(r"</?(?:a|b|i|u|em|strong|code|br|tt|small|sup)(?:\s[^<>]*)?/?>", re.IGNORECASE)
"""Tags that a sentence may contain; the tags of a page are in `_HTML`."""
_DATA = re.compile(rb"^(?:data|error):(.*)$", re.MULTILINE)


def read(content: bytes, headers: Mapping[str, str]) -> object:
    """Read the body of an error: JSON, JSON in events, or a short plain text; None for anything else."""
    if (body := read_json(content)) is not None:
        return body
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return _events(content) or (_plain(content) if kind == "text/plain" else None)


def read_json(content: bytes | str) -> dict[str, object] | list[object] | str | None:
    """Read an object, a list or a string of JSON; None for anything else."""
    try:
        body: object = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict | list | str) else None


def _events(content: bytes) -> list[object]:
    """Read an error that was sent as server-sent events."""
    blocks = content.replace(b"\r\n", b"\n").split(b"\n\n")
    data = [b"\n".join(_DATA.findall(block)) for block in blocks]
    return [found for one in data if one and (found := read_json(one) or _plain(one))]


def _plain(content: bytes) -> str | None:
    """Read a plain text that is as short as a sentence; a longer one may be a page or a stack trace."""
    text = content.decode("utf-8", "replace").strip()
    is_short = len(text) <= MAX_PLAIN_CHARACTERS and len(text.splitlines()) <= _MAX_PLAIN_LINES
    return text if is_short and text[:1] not in {"{", "["} else None


def sentence(error: object) -> str:
    """Find the sentence in an error: under a known name, or else the first text that looks like a sentence."""
    return _named(error, _MAX_DEPTH) or _unnamed(error)


def _named(error: object, depth: int) -> str:
    if not depth:
        return ""
    if isinstance(error, str):
        return _sentence_in(error, depth)
    if isinstance(error, list):
        return "; ".join(found for item in error[:_MAX_LISTED] if (found := _named(item, depth - 1)))
    if not isinstance(error, dict):
        return ""
    if isinstance(error.get("msg"), str) and isinstance(error.get("loc"), list):
        return _complaint(error["loc"], _sentence_in(error["msg"], depth))
    return _best(_named(value, depth - 1) for value in _candidates(normalised(error)))


def _best(found: Iterator[str]) -> str:
    """Return the first text that looks like a sentence, or else the first that is a word."""
    word = ""
    for text in found:
        if _LIKE_A_SENTENCE.search(text):
            return text
        word = word or text
    return word


def _candidates(members: Mapping[str, object]) -> Iterator[object]:
    """Yield the values in which an error may have its sentence, the most telling one first.

    OpenRouter puts the sentence of the provider behind it into `metadata.raw`, and "Provider returned error" into
    `message`.
    """
    metadata = members.get("metadata")
    yield metadata.get("raw") if isinstance(metadata, dict) else None
    yield members.get("raw")
    yield from (members[name] for name in _WRAPPERS if isinstance(members.get(name), dict | list))
    errors = members.get("errors")
    yield [*errors.values()] if isinstance(errors, dict) else None  # for each field that is wrong
    yield from (members[name] for name in _SENTENCES if isinstance(members.get(name), str))
    yield from (members[name] for name in _FURTHER if isinstance(members.get(name), dict | list))


def normalised(layer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of an object by normalised names: `Error_Message` becomes `errormessage`."""
    members: dict[str, Any] = {}
    for name, value in islice(layer.items(), _MAX_MEMBERS):
        members.setdefault(_SEPARATORS.sub("", name).lower(), value)
    return members


def _unnamed(error: object) -> str:
    """Return the first text that looks like a sentence and does not repeat the request (breadth first)."""
    rest = deque([error])
    for _ in range(_MAX_MEMBERS):
        value = rest.popleft() if rest else None
        if isinstance(value, str) and value.lstrip()[:1] in {"{", "["}:
            value = read_json(value) or value
        if isinstance(value, str) and _LIKE_A_SENTENCE.search(value) and (found := _sentence_in(value, 1)):
            return found
        if isinstance(value, list):
            rest.extend(value[:_MAX_MEMBERS])
        elif isinstance(value, dict):
            rest.extend(inner for name, inner in normalised(value).items() if name not in _NEVER_SENTENCES)
    return ""


def _sentence_in(text: str, depth: int) -> str:
    """Return the sentence in a string, which may itself be JSON; empty for a page of HTML."""
    if text.lstrip()[:1] in {"{", "["} and (body := read_json(text)) is not None:
        return _named(body, depth - 1)
    text = _MARKUP.sub("", text[:_MAX_SEARCHED_CHARACTERS])
    return "" if _HTML.search(text) else text.strip()


def _complaint(where: list[object], what: str) -> str:
    """Format an error of pydantic, with which many servers validate: {"loc": ["body", "n"], "msg": "..."}."""
    steps = [str(step) for step in where if isinstance(step, str | int)]
    return f"{'.'.join(steps)}: {what}" if steps else what


def layers(error: object) -> list[dict[str, object]]:
    """Return the nested objects of an error, the outer ones first."""
    found: list[dict[str, object]] = []
    rest = deque([error])
    while rest and len(found) < _MAX_LAYERS:
        layer = rest.popleft()
        if isinstance(layer, list):
            rest.extend(layer[:_MAX_LAYERS])
        elif isinstance(layer, dict):
            found.append(layer)
            members = normalised(layer)
            rest.extend(members.get(name) for name in ("metadata", "raw", *_WRAPPERS, *_FURTHER))
    return found
