"""Chooses the reply to a request: the provider's refusal or the answer, with the requested faults."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import NamedTuple

from .faults import Faults
from .provider import Refusal, RefusalReason, Request, SimulatedProvider, encode, filled
from .script import Script, completion, stream, whole

REDIRECTED = "/redirected"
"""The suffix of the path that the fault `redirect` leads to."""

_JSON = "application/json"
_HTML = "<!doctype html>\n<title>{0}</title>\n<h1>{0}</h1>\n<p>A page where an answer was expected.</p>\n"
_PACE = MappingProxyType({"endless": 0.01, "comments": 0.05})
_REASONS: Mapping[str, RefusalReason] = MappingProxyType(
    {"quota": "quota", "context": "context", "filter-prompt": "filter", "echo-key": "invalid"}
)
_REASONS_BY_STATUS: Mapping[int, RefusalReason] = MappingProxyType(
    {401: "wrong key", 404: "unknown model", 429: "rate"}
)
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


def refusal(provider: SimulatedProvider, request: Request, reason: RefusalReason, detail: str = "") -> Refusal:
    """Return the provider's refusal for a reason, with the request's values in its texts."""
    return _filled(provider.refusals[reason], request, detail)


def refuse(provider: SimulatedProvider, request: Request, refused: Refusal) -> Reply:
    """Return the reply that refuses a request."""
    headers = _headers(provider, request, refused.status, _JSON)
    return Reply(refused.status, headers, whole(encode(refused.body), {}))


def answer(provider: SimulatedProvider, request: Request, faults: Faults, pace: float) -> Reply:
    """Answer with the requested faults. `pace` is the seconds between events where no fault says otherwise."""
    response = _response(provider, request, faults)
    retry = {"retry-after": f"{faults['retry']:g}"} if "retry" in faults else {}
    return Reply(
        response.status,
        {**_headers(provider, request, response.status, response.kind), **retry, **response.headers},
        response.script,
        late=math.inf if "hang" in faults else faults.get("late", 0),
        slow=faults.get("slow", 0),
        pace=_pace(faults, pace),
        bytewise="bytewise" in faults,
    )


def phrase(status: int) -> str:
    """Return the reason phrase of a status."""
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else "Unknown"


class _Response(NamedTuple):
    """An answer's status, content type, body, and extra headers."""

    status: int
    kind: str
    script: Script
    headers: Mapping[str, str] = MappingProxyType({})


def _response(provider: SimulatedProvider, request: Request, faults: Faults) -> _Response:
    refused = _refused(provider, request, faults)
    if refused or "html" in faults or "empty" in faults:
        return _without_answer(provider, refused, faults)
    if "redirect" in faults:
        query = f"?{request.query}" if request.query else ""
        location = f"/{provider.name}{request.path}{REDIRECTED}{query}"
        return _Response(HTTPStatus.TEMPORARY_REDIRECT, _JSON, whole(b"", {}), {"location": location})
    if request.method == "GET":
        return _Response(HTTPStatus.OK, _JSON, whole(encode(provider.models), faults))
    if request.body.get("stream") is True and "json" not in faults:
        return _Response(HTTPStatus.OK, provider.stream_type, _stream(provider, request))
    return _Response(HTTPStatus.OK, _JSON, completion(provider, request.model))


def _without_answer(provider: SimulatedProvider, refused: Refusal | None, faults: Faults) -> _Response:
    """Return a refusal's own body, or a page of HTML or nothing in its place."""
    status = refused.status if refused else HTTPStatus.OK
    if "empty" in faults or status in _BODILESS:
        return _Response(status, _JSON if refused else provider.stream_type, whole(b"", {}))
    if "html" in faults or refused is None:
        page = _HTML.format(f"{int(status)} {phrase(status)}").encode()
        return _Response(status, "text/html; charset=utf-8", whole(page, faults))
    return _Response(status, _JSON, whole(encode(refused.body), faults))


def _stream(provider: SimulatedProvider, request: Request) -> Script:
    options = request.body.get("stream_options")
    options = options if isinstance(options, dict) else {}
    counted, padded = options.get("include_usage") is True, options.get("include_obfuscation") is not False
    return stream(provider, request.model, counted=counted, padded=padded)


def _refused(provider: SimulatedProvider, request: Request, faults: Faults) -> Refusal | None:
    """Return the refusal for the requested faults; the fault `status` wins over the others."""
    retry = f"{faults.get('retry', 2):g}"
    if "status" in faults:
        status = int(faults["status"])
        return Refusal(status, _filled(_by_status(provider, status), request, phrase(status), retry).body)
    reason = next((_REASONS[name] for name in _REASONS if name in faults), None)
    detail = f"The request with the key {request.key} could not be read."
    return None if reason is None else _filled(provider.refusals[reason], request, detail, retry)


def _by_status(provider: SimulatedProvider, status: int) -> Refusal:
    if status in provider.refusals_by_status:
        return provider.refusals_by_status[status]
    otherwise: RefusalReason = "server" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid"
    return provider.refusals[_REASONS_BY_STATUS.get(status, otherwise)]


def _filled(template: Refusal, request: Request, detail: str, retry: str = "2") -> Refusal:
    return filled(
        template,
        base=request.base,
        detail=detail,
        id=_identity(request),
        masked=_masked(request.key),
        method=request.method,
        model=request.model,
        path=request.path,
        retry=retry,
    )


def _headers(provider: SimulatedProvider, request: Request, status: int, kind: str) -> dict[str, str]:
    left = "0" if status == HTTPStatus.TOO_MANY_REQUESTS else "9999"
    own = {name: value.format(id=_identity(request), left=left) for name, value in provider.headers.items()}
    return {"content-type": kind, **own}


def _pace(faults: Faults, otherwise: float) -> float:
    if "pace" in faults:
        return faults["pace"] / 1000
    return otherwise or next((_PACE[name] for name in _PACE if name in faults), 0)


def _identity(request: Request) -> str:
    return f"{request.number:032x}"


def _masked(key: str) -> str:
    """Hide a key but for its first five characters and its last two, as most providers do."""
    first, last = 5, 2
    hidden = len(key) - first - last
    return key[:first] + "*" * hidden + key[-last:] if hidden > 0 else "*" * len(key)
