"""What a provider says when it refuses -> the failure that a person is told."""

import json
import re
from collections.abc import Mapping
from typing import Any

from app.answer import Failure

MAX_MESSAGE_CHARACTERS = 500
MIN_PART_CHARACTERS = 8
"""How much of a key in a provider's sentence is too much."""
_MAX_SEARCHED_CHARACTERS = 2000
_MAX_DEPTH = 8

_DELAY = re.compile(r"\d{1,10}|\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", re.ASCII)
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


def refused(label: str, key: str, status: int, headers: Mapping[str, str], content: bytes) -> Failure:
    """Translate a provider's error answer: its status, `Retry-After` and message, cleaned of secrets.

    A redirect is refused, never followed, because the request carries a key.
    """
    if status < 400:  # noqa: PLR2004
        return Failure(500, "up_redirect", f"{label} answered with a redirect, which is not followed.")
    delay = headers.get("retry-after", "")
    kept = {"Retry-After": delay} if _DELAY.fullmatch(delay) else {}
    known = status if status < 600 else 500  # noqa: PLR2004 - `fetch` rejects any higher one
    return _failure(label, key, known, _error(content), f"{label} answered with status {status}.", kept)


def reported(label: str, key: str, error: object) -> Failure:
    """Translate an error object that came in an answer's stream; its own status if it carries one, else 500."""
    code = str(error.get("code")) if isinstance(error, dict) else ""
    status = int(code) if re.fullmatch(r"[45]\d\d", code, re.ASCII) else 500
    return _failure(label, key, status, error, f"{label} reported an error in its answer.", {})


def _failure(  # noqa: PLR0913, PLR0917 - each is a part of what is told
    label: str, key: str, status: int, error: object, otherwise: str, headers: Mapping[str, str]
) -> Failure:
    message = cleaned(_message(error, _MAX_DEPTH), key)
    if status == 401 or _WRONG_KEY.search(message):  # noqa: PLR2004
        return Failure(401, "provider_auth", f"{label} API Key is incorrect. Please fix it in your profile settings.")
    return Failure(status, _code(status, error), message or otherwise, headers)


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


def _error(content: bytes) -> object:
    """Find the error object, which providers wrap in `error`, in a list, or not at all; None when this is not JSON."""
    try:
        body: Any = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if isinstance(body, list) and body:
        body = body[0]
    return (body.get("error") or body) if isinstance(body, dict) else None


def _message(error: object, depth: int) -> str:
    """Find the sentence: a string, or `message`, or `detail`, of which the last two may be lists or objects."""
    if isinstance(error, str):
        return error
    if not depth:
        return ""
    if isinstance(error, list):
        return "; ".join(found for item in error if (found := _message(item, depth - 1)))
    if not isinstance(error, dict):
        return ""
    if isinstance(error.get("msg"), str):  # One complaint of Mistral's validator: {"loc": ["body", "n"], "msg": "..."}.
        where = error.get("loc")
        steps = [str(step) for step in where if isinstance(step, str | int)] if isinstance(where, list) else []
        return f"{'.'.join(steps)}: {error['msg']}" if steps else error["msg"]
    return _message(error.get("message") or error.get("detail"), depth - 1)


def _code(status: int, error: object) -> str:
    theirs = [error.get("code"), error.get("type")] if isinstance(error, dict) else []
    if "insufficient_quota" in theirs:
        return "provider_quota"
    if "content_filter" in theirs:
        return "content_filter"
    return _CODES.get(status) or ("provider_bad_request" if status < 500 else "provider_error")  # noqa: PLR2004
