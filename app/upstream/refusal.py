"""What a provider says when it refuses -> the failure that a person is told."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import ceil

from app.answer import Failure
from app.upstream.account import Account

MAX_MESSAGE_CHARACTERS = 500
MIN_PART_CHARACTERS = 8
"""How much of a key in a provider's sentence is too much."""
_MAX_SEARCHED_CHARACTERS = 2000
_MAX_DEPTH = 8
_MAX_PLAIN_LINES = 3
_VERSION = re.compile(r"/v\d")

_SECONDS = re.compile(r"(\d{1,10})(\.\d{0,10})?", re.ASCII)
_DATE = re.compile(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", re.ASCII)
MAX_DELAY_SECONDS = 3600
"""The longest delay that is passed on: a client that obeys a longer one would seem to be broken."""

_INNER = ("metadata", "raw", "error", "errors", "message", "msg", "detail")
"""What an error is wrapped in, the one that says more first. OpenRouter has the sentence of the provider that it asked
in `metadata.raw`, and "Provider returned error" in `message`."""
_SENTENCE = (
    *("raw", "message", "msg", "detail", "details", "error_message", "error_msg", "errorMessage", "error_description"),
    *("Message", "status_msg", "description", "title", "error"),
)
"""Where the sentence itself is; `error` may be a mere word beside it."""
_HTML = re.compile(r"^\s*<[!?/]?[a-z]|<!doctype|<html|<head|<body", re.IGNORECASE)
_HINT = "The base URL may be wrong: most end in /v1."

_SECRETS = re.compile(r"(?:\b|(?<=\\[nrt]))(?:sk-|gsk_|xai-|pplx-|AIza|AQ\.|Bearer )[^\s\"',;)]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_WRONG_KEY = re.compile(r"(incorrect|invalid) api[ -]key|api[ -]key (is )?(not valid|incorrect|invalid)", re.IGNORECASE)

_CODES = {
    402: "provider_quota",
    403: "provider_denied",
    413: "provider_too_large",
    429: "provider_rate_limited",
    503: "provider_overloaded",
    529: "provider_overloaded",
}


def refused(account: Account, status: int, headers: Mapping[str, str], content: bytes) -> Failure:
    """Translate a provider's error answer: its status, `Retry-After` and message, cleaned of secrets.

    A redirect is refused, never followed, because the request carries a key.
    """
    if status < 400:  # noqa: PLR2004
        return Failure(500, "up_redirect", f"{account.name} answered with a redirect, which is not followed.")
    error, known = _read(content, headers), status if status < 600 else 500  # noqa: PLR2004 - `fetch` rejects any higher
    failure = _failure(account.key, account.wrong_key, known, error, f"{account.name} answered with status {status}.")
    if failure.status == 404 and _is_lost(account, error):  # noqa: PLR2004
        failure.message = f"{failure.message.removesuffix('.')}. {_HINT}"
    if failure.code != "provider_auth" and (delay := _delay(headers.get("retry-after", ""))):
        failure.headers = {"Retry-After": delay}
    return failure


def reported(label: str, key: str, error: object, wrong_key: str = "") -> Failure:
    """Translate an error object that came in an answer's stream; its own status if it carries one, else 500."""
    codes = (str(layer.get("code")) for layer in _layers(error))
    status = next((int(code) for code in codes if re.fullmatch(r"[45]\d\d", code, re.ASCII)), 500)
    sentence = wrong_key or Account(label, "", key).wrong_key
    return _failure(key, sentence, status, error, f"{label} reported an error in its answer.")


def blames(content: bytes, parameter: str) -> bool:
    """Tell whether an error answer is about a parameter: by its `param`, by a complaint's `loc`, or in its sentence."""
    error = _read(content, {})
    named = re.compile(rf"(?<!\w){parameter}(?!\w)")
    params = [str(layer.get("param") or "") for layer in _layers(error)]
    return any(map(named.search, [*params, _sentence(error, _MAX_DEPTH)]))


def _failure(key: str, wrong_key: str, status: int, error: object, otherwise: str) -> Failure:
    message = cleaned(_sentence(error, _MAX_DEPTH), key)
    if status == 401 or _WRONG_KEY.search(message):  # noqa: PLR2004
        return Failure(401, "provider_auth", wrong_key)
    return Failure(status, _code(status, error), message or otherwise)


def cleaned(message: str, key: str) -> str:
    """Cut a provider's text to a sentence's length, without keys, control characters and half characters."""
    message = message.replace(key, "[key]").encode("utf-8", "replace").decode()
    message = _SECRETS.sub("[key]", _CONTROL.sub(" ", message))
    return _without_parts(message[:_MAX_SEARCHED_CHARACTERS], key)[:MAX_MESSAGE_CHARACTERS].strip()


def _without_parts(message: str, key: str) -> str:
    """Replace what is long enough to be known for a part of the key."""
    size = MIN_PART_CHARACTERS
    parts = {key[start : start + size] for start in range(len(key) - size + 1)}
    found, kept = 0, []
    for start in range(len(message)):
        if message[start : start + size] in parts:
            kept += [] if found > start else ["[key]"]
            found = start + size
        elif found <= start:
            kept.append(message[start])
    return "".join(kept)


def _read(content: bytes, headers: Mapping[str, str]) -> object:
    """Read an error's body: JSON, or a short plain text, which is the sentence itself; None for anything else."""
    try:
        body: object = json.loads(content)
    except (ValueError, RecursionError):
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        return _plain(content) if kind == "text/plain" else None
    return body if isinstance(body, dict | list) else None


def _plain(content: bytes) -> str | None:
    """Read a plain text that is as short as a sentence; a longer one may be a page, or a traceback."""
    text = content.decode("utf-8", "replace").strip()
    is_short = len(text) <= MAX_MESSAGE_CHARACTERS and len(text.splitlines()) <= _MAX_PLAIN_LINES
    return text if is_short and text[:1] not in {"{", "["} else None


def _sentence(error: object, depth: int) -> str:
    """Find the sentence in an error, however it is wrapped: what is inside says more than the words around it."""
    if not depth:
        return ""
    if isinstance(error, str):
        return _inside(error, depth)
    if isinstance(error, list):
        return "; ".join(found for item in error if (found := _sentence(item, depth - 1)))
    if not isinstance(error, dict):
        return ""
    if isinstance(error.get("msg"), str) and isinstance(error.get("loc"), list):
        return _complaint(error["loc"], _inside(error["msg"], depth))
    inner = [error[name] for name in _INNER if isinstance(error.get(name), dict | list)]
    texts = [error[name] for name in _SENTENCE if isinstance(error.get(name), str)]
    return next((found for value in [*inner, *texts] if (found := _sentence(value, depth - 1))), "")


def _inside(text: str, depth: int) -> str:
    """Read an error that was put into a string as JSON; a page of HTML says nothing that can be told."""
    if _HTML.search(text):
        return ""
    if text.lstrip()[:1] not in {"{", "["}:
        return text.strip()
    try:
        return _sentence(json.loads(text), depth - 1)
    except (ValueError, RecursionError):
        return text


def _complaint(where: list[object], what: str) -> str:
    """Write one complaint of Mistral's validator, and of many others: {"loc": ["body", "n"], "msg": "..."}."""
    steps = [str(step) for step in where if isinstance(step, str | int)]
    return f"{'.'.join(steps)}: {what}" if steps else what


def _layers(error: object) -> list[dict[str, object]]:
    """Return the objects that an error consists of, the outer ones first."""
    found: list[dict[str, object]] = []
    rest = [error]
    while rest and len(found) < _MAX_DEPTH:
        layer = rest.pop(0)
        if isinstance(layer, dict):
            found.append(layer)
            rest += [layer[name] for name in _INNER if isinstance(layer.get(name), dict | list)]
        elif isinstance(layer, list):
            rest += layer[:1]
    return found


def _is_lost(account: Account, error: object) -> bool:
    """Tell whether a 404 may mean that there is no such path, rather than no such model."""
    return account.is_elsewhere and (not isinstance(error, dict | list) or not _VERSION.search(account.base_url))


def _delay(value: str) -> str:
    """Return a `Retry-After` as it is passed on (RFC 9110, section 10.2.3): nothing if it is none, or too long."""
    if _SECONDS.fullmatch(value):
        whole = ceil(float(value))
        return str(whole) if whole <= MAX_DELAY_SECONDS else ""
    try:
        at = parsedate_to_datetime(value) if _DATE.fullmatch(value) else None
    except ValueError:
        return ""
    return value if at and (at - datetime.now(UTC)).total_seconds() <= MAX_DELAY_SECONDS else ""


def _code(status: int, error: object) -> str:
    theirs = {str(layer.get(name)) for layer in _layers(error) for name in ("code", "type")}
    if "insufficient_quota" in theirs:
        return "provider_quota"
    if "content_filter" in theirs:
        return "content_filter"
    return _CODES.get(status) or ("provider_bad_request" if status < 500 else "provider_error")  # noqa: PLR2004
