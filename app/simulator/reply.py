"""Chooses the reply to a request: the provider's refusal or the answer, with the requested faults."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import NamedTuple

from .dialect import Asked, Dialect, Rejection, Trouble, encode, filled
from .faults import Faults
from .script import Script, completion, stream, whole

REDIRECTED = "/redirected"
"""The suffix of the path that the fault `redirect` leads to."""

_JSON = "application/json"
_HTML = "<!doctype html>\n<title>{0}</title>\n<h1>{0}</h1>\n<p>A page where an answer was expected.</p>\n"
_PACE = MappingProxyType({"endless": 0.01, "comments": 0.05})
_TROUBLES: Mapping[str, Trouble] = MappingProxyType(
    {"quota": "quota", "context": "context", "filter-prompt": "filter", "echo-key": "invalid"}
)
_TROUBLES_BY_STATUS: Mapping[int, Trouble] = MappingProxyType({401: "wrong key", 404: "unknown model", 429: "rate"})
_BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with its timing in seconds.

    `late` is the delay before the headers (infinite: they never come), `slow` the one between headers and body, `pace`
    the one between two parts of the body. With `bytewise`, each chunk is written by itself.
    """

    status: int
    headers: Mapping[str, str]
    script: Script
    late: float = 0
    slow: float = 0
    pace: float = 0
    bytewise: bool = False


def refuse(dialect: Dialect, asked: Asked, trouble: Trouble, detail: str = "") -> Reply:
    """Refuse in the dialect's own words."""
    return refuse_as(dialect, asked, _in_words(dialect.refusals[trouble], asked, detail))


def refuse_as(dialect: Dialect, asked: Asked, refusal: Rejection) -> Reply:
    """Refuse with this body."""
    headers = _headers(dialect, asked, refusal.status, _JSON)
    return Reply(refusal.status, headers, whole(encode(refusal.body), {}))


def answer(dialect: Dialect, asked: Asked, faults: Faults, pace: float) -> Reply:
    """Answer, misbehaving as asked. `pace` is the seconds between events where no fault says otherwise."""
    content = _content(dialect, asked, faults)
    retry = {"retry-after": f"{faults['retry']:g}"} if "retry" in faults else {}
    return Reply(
        content.status,
        {**_headers(dialect, asked, content.status, content.kind), **retry, **content.headers},
        content.script,
        late=math.inf if "hang" in faults else faults.get("late", 0),
        slow=faults.get("slow", 0),
        pace=_pace(faults, pace),
        bytewise="bytewise" in faults,
    )


def phrase(status: int) -> str:
    """Return the reason phrase of a status."""
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else "Unknown"


class _Content(NamedTuple):
    """An answer's status, content type, body, and extra headers."""

    status: int
    kind: str
    script: Script
    headers: Mapping[str, str] = MappingProxyType({})


def _content(dialect: Dialect, asked: Asked, faults: Faults) -> _Content:
    refusal = _refusal(dialect, asked, faults)
    if refusal or "html" in faults or "empty" in faults:
        return _no_answer(dialect, refusal, faults)
    if "redirect" in faults:
        query = f"?{asked.query}" if asked.query else ""
        location = f"/{dialect.name}{asked.path}{REDIRECTED}{query}"
        return _Content(HTTPStatus.TEMPORARY_REDIRECT, _JSON, whole(b"", {}), {"location": location})
    if asked.method == "GET":
        return _Content(HTTPStatus.OK, _JSON, whole(encode(dialect.models), faults))
    if asked.body.get("stream") is True and "json" not in faults:
        return _Content(HTTPStatus.OK, dialect.stream_type, _stream(dialect, asked))
    return _Content(HTTPStatus.OK, _JSON, completion(dialect, asked.model))


def _no_answer(dialect: Dialect, refusal: Rejection | None, faults: Faults) -> _Content:
    """Return a refusal's own body, or a page of HTML or nothing in its place."""
    status = refusal.status if refusal else HTTPStatus.OK
    if "empty" in faults or status in _BODILESS:
        return _Content(status, _JSON if refusal else dialect.stream_type, whole(b"", {}))
    if "html" in faults or refusal is None:
        page = _HTML.format(f"{int(status)} {phrase(status)}").encode()
        return _Content(status, "text/html; charset=utf-8", whole(page, faults))
    return _Content(status, _JSON, whole(encode(refusal.body), faults))


def _stream(dialect: Dialect, asked: Asked) -> Script:
    options = asked.body.get("stream_options")
    options = options if isinstance(options, dict) else {}
    counted, padded = options.get("include_usage") is True, options.get("include_obfuscation") is not False
    return stream(dialect, asked.model, counted=counted, padded=padded)


def _refusal(dialect: Dialect, asked: Asked, faults: Faults) -> Rejection | None:
    """Return the refusal for the requested faults; the fault `status` wins over the others."""
    retry = f"{faults.get('retry', 2):g}"
    if "status" in faults:
        status = int(faults["status"])
        refusal = _by_status(dialect, status)
        return Rejection(status, _in_words(refusal, asked, phrase(status), retry).body)
    trouble = next((_TROUBLES[name] for name in _TROUBLES if name in faults), None)
    detail = f"The request with the key {asked.key} could not be read."
    return None if trouble is None else _in_words(dialect.refusals[trouble], asked, detail, retry)


def _by_status(dialect: Dialect, status: int) -> Rejection:
    if status in dialect.refusals_by_status:
        return dialect.refusals_by_status[status]
    otherwise: Trouble = "server" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid"
    return dialect.refusals[_TROUBLES_BY_STATUS.get(status, otherwise)]


def _in_words(refusal: Rejection, asked: Asked, detail: str, retry: str = "2") -> Rejection:
    return filled(
        refusal,
        base=asked.base,
        detail=detail,
        id=_identity(asked),
        masked=_masked(asked.key),
        method=asked.method,
        model=asked.model,
        path=asked.path,
        retry=retry,
    )


def _headers(dialect: Dialect, asked: Asked, status: int, kind: str) -> dict[str, str]:
    left = "0" if status == HTTPStatus.TOO_MANY_REQUESTS else "9999"
    own = {name: value.format(id=_identity(asked), left=left) for name, value in dialect.headers.items()}
    return {"content-type": kind, **own}


def _pace(faults: Faults, otherwise: float) -> float:
    if "pace" in faults:
        return faults["pace"] / 1000
    return otherwise or next((_PACE[name] for name in _PACE if name in faults), 0)


def _identity(asked: Asked) -> str:
    return f"{asked.number:032x}"


def _masked(key: str) -> str:
    """Hide a key but for its first five characters and its last two, as most providers do."""
    first, last = 5, 2
    hidden = len(key) - first - last
    return key[:first] + "*" * hidden + key[-last:] if hidden > 0 else "*" * len(key)
