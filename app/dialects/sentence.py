"""The sentence in a provider's error, however it is wrapped, and the objects that the error consists of."""

import json
import re
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

MAX_PLAIN_CHARACTERS = 500
_MAX_PLAIN_LINES = 3
_MAX_TOLD_CHARACTERS = 2000
"""How much of a text is searched for a page's tags; of a sentence far less is told."""
_MAX_LISTED = 20
"""How many errors of a list are looked at."""
_MAX_DEPTH = 8
_MAX_LAYERS = 20
_MAX_MEMBERS = 1000
"""How many members of one object, and how many values in all, are looked at where no name is known."""

# Names as they are compared: in small letters, without what joins their words.

_AROUND = ("error", "errors", "err", "message", "msg", "detail", "fault", "exception")
"""What an error is wrapped in: what is inside says more than the words beside it."""
_SENTENCE = (
    *("message", "msg", "detail", "details", "errormessage", "errormsg", "errmessage", "errmsg", "errordetail"),
    *("errordescription", "statusmsg", "statusmessage", "description", "faultstring", "reason", "title", "text"),
    *("error", "err", "exception", "fault", "hint"),
)
"""Where the sentence itself is, the one that says more first; `error` may be a mere word beside it."""
_FURTHER = ("details", "reason", "response", "data", "result", "header", "baseresp", "innererror", "cause", "status")
"""Where an error may be as well, if no sentence was found before."""
_ECHOES = {
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
"""What is no sentence though it may look like one: what was asked, traces, dates and the like."""

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
"""Tags in a sentence; those of a page are in `_HTML`."""
_DATA = re.compile(rb"^(?:data|error):(.*)$", re.MULTILINE)


def read(content: bytes, headers: Mapping[str, str]) -> object:
    """Read an error's body: JSON, alone or as events, or a short plain text; None for anything else."""
    if (body := read_json(content)) is not None:
        return body
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return _events(content) or (_plain(content) if kind == "text/plain" else None)


def read_json(content: bytes | str) -> dict[str, object] | list[object] | str | None:
    """Read JSON that can hold a sentence; None for anything else."""
    try:
        body: object = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict | list | str) else None


def _events(content: bytes) -> list[object]:
    """Read an error that came as the events of a stream."""
    blocks = content.replace(b"\r\n", b"\n").split(b"\n\n")
    data = [b"\n".join(_DATA.findall(block)) for block in blocks]
    return [found for one in data if one and (found := read_json(one) or _plain(one))]


def _plain(content: bytes) -> str | None:
    """Read a plain text that is as short as a sentence; a longer one may be a page, or a traceback."""
    text = content.decode("utf-8", "replace").strip()
    is_short = len(text) <= MAX_PLAIN_CHARACTERS and len(text.splitlines()) <= _MAX_PLAIN_LINES
    return text if is_short and text[:1] not in {"{", "["} else None


def sentence(error: object) -> str:
    """Find the sentence in an error: under a name that is known, or else whatever looks like one."""
    return _named(error, _MAX_DEPTH) or _unnamed(error)


def _named(error: object, depth: int) -> str:
    if not depth:
        return ""
    if isinstance(error, str):
        return _told(error, depth)
    if isinstance(error, list):
        return "; ".join(found for item in error[:_MAX_LISTED] if (found := _named(item, depth - 1)))
    if not isinstance(error, dict):
        return ""
    if isinstance(error.get("msg"), str) and isinstance(error.get("loc"), list):
        return _complaint(error["loc"], _told(error["msg"], depth))
    return _best(_named(value, depth - 1) for value in _candidates(plainly_named(error)))


def _best(found: Iterator[str]) -> str:
    """Return the first that looks like a sentence, or else the first that is a word."""
    word = ""
    for text in found:
        if _LIKE_A_SENTENCE.search(text):
            return text
        word = word or text
    return word


def _candidates(members: Mapping[str, object]) -> Iterator[object]:
    """Yield where an error may have its sentence, what says more first.

    OpenRouter has the sentence of the provider that it asked in `metadata.raw`, and "Provider returned error" in
    `message`.
    """
    metadata = members.get("metadata")
    yield metadata.get("raw") if isinstance(metadata, dict) else None
    yield members.get("raw")
    yield from (members[name] for name in _AROUND if isinstance(members.get(name), dict | list))
    errors = members.get("errors")
    yield [*errors.values()] if isinstance(errors, dict) else None  # for each field that is wrong
    yield from (members[name] for name in _SENTENCE if isinstance(members.get(name), str))
    yield from (members[name] for name in _FURTHER if isinstance(members.get(name), dict | list))


def plainly_named(layer: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object's members by their names in small letters and one word, as `errormessage`."""
    members: dict[str, Any] = {}
    for name, value in islice(layer.items(), _MAX_MEMBERS):
        members.setdefault(_SEPARATORS.sub("", name).lower(), value)
    return members


def _unnamed(error: object) -> str:
    """Return the first text that looks like a sentence, and is not what was asked."""
    rest = deque([error])
    for _ in range(_MAX_MEMBERS):
        value = rest.popleft() if rest else None
        if isinstance(value, str) and value.lstrip()[:1] in {"{", "["}:
            value = read_json(value) or value
        if isinstance(value, str) and _LIKE_A_SENTENCE.search(value) and (found := _told(value, 1)):
            return found
        if isinstance(value, list):
            rest.extend(value[:_MAX_MEMBERS])
        elif isinstance(value, dict):
            rest.extend(inner for name, inner in plainly_named(value).items() if name not in _ECHOES)
    return ""


def _told(text: str, depth: int) -> str:
    """Read an error that was put into a string as JSON; a page of HTML says nothing that can be told."""
    if text.lstrip()[:1] in {"{", "["} and (body := read_json(text)) is not None:
        return _named(body, depth - 1)
    text = _MARKUP.sub("", text[:_MAX_TOLD_CHARACTERS])
    return "" if _HTML.search(text) else text.strip()


def _complaint(where: list[object], what: str) -> str:
    """Write one complaint of pydantic, with which many servers validate: {"loc": ["body", "n"], "msg": "..."}."""
    steps = [str(step) for step in where if isinstance(step, str | int)]
    return f"{'.'.join(steps)}: {what}" if steps else what


def layers(error: object) -> list[dict[str, object]]:
    """Return the objects that an error consists of, the outer ones first."""
    found: list[dict[str, object]] = []
    rest = deque([error])
    while rest and len(found) < _MAX_LAYERS:
        layer = rest.popleft()
        if isinstance(layer, list):
            rest.extend(layer[:_MAX_LAYERS])
        elif isinstance(layer, dict):
            found.append(layer)
            members = plainly_named(layer)
            rest.extend(members.get(name) for name in ("metadata", "raw", *_AROUND, *_FURTHER))
    return found
