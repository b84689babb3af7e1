"""A provider's error answer -> the `Failure` that is shown to a person."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from math import ceil

from ..failure import Code, Failure
from ..upstream.account import Account
from .sentence import layers, normalised, read, read_json, sentence

_VERSION = re.compile(r"/v\d")

_SECONDS = re.compile(r"(\d{1,10})(\.\d{0,10})?", re.ASCII)
_DATE = re.compile(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", re.ASCII)
MAX_DELAY_SECONDS = 3600
"""The longest `Retry-After` that is passed on: with a longer one, a client would seem to hang."""

_MAX_STATUS = 599
"""The highest that is passed on: `fetch` in browsers rejects a higher one."""

_HINT = "The base URL may be wrong: most end in /v1."

_WRONG_KEY = re.compile(r"(incorrect|invalid) api[ -]key|api[ -]key (is )?(not valid|incorrect|invalid)", re.IGNORECASE)

_STATUSES = ("code", "status", "statuscode", "httpstatus", "httpcode", "errorcode", "errcode", "rawstatuscode")
"""The members in which an error may have an HTTP status, by their normalised names."""
_CODES = {
    402: Code.PROVIDER_QUOTA,
    403: Code.PROVIDER_DENIED,
    413: Code.PROVIDER_TOO_LARGE,
    429: Code.PROVIDER_RATE_LIMITED,
    503: Code.PROVIDER_OVERLOADED,
    529: Code.PROVIDER_OVERLOADED,
}


def refused(account: Account, status: int, headers: Mapping[str, str], content: bytes) -> Failure:
    """Translate an error answer: its status, `Retry-After` and message, cleaned of secrets.

    A redirect is refused, never followed, because the request carries a key.
    """
    if status < HTTPStatus.BAD_REQUEST:
        return Failure(Code.UP_REDIRECT, f"{account.name} answered with a redirect, which is not followed.")
    error = read(content, headers)
    known = status if status <= _MAX_STATUS else 500
    failure = _failure(account, known, error, f"{account.name} answered with status {status}.")
    if failure.status == HTTPStatus.NOT_FOUND and _is_wrong_path(account, error):
        failure.message = f"{failure.message.removesuffix('.')}. {_HINT}"
    if failure.code is not Code.PROVIDER_AUTH and (delay := _delay(headers.get("retry-after", ""))):
        failure.headers = {"Retry-After": delay}
    return failure


def reported(account: Account, error: object) -> Failure:
    """Translate an error inside a stream, or in place of one. The status is the error's own, or else 500."""
    codes = (str(members.get(name)) for members in map(normalised, layers(error)) for name in _STATUSES)
    status = next((int(code) for code in codes if re.fullmatch(r"[45]\d\d", code, re.ASCII)), 500)
    return _failure(account, status, error, f"{account.name} reported an error in its answer.")


def error_answer(content: bytes) -> object:
    """Return a whole body as an error, if it is JSON of any shape without choices; else None."""
    body = read_json(content)
    first = body[0] if isinstance(body, list) and body else body
    return None if isinstance(first, dict) and first.get("choices") is not None else body


def blames(content: bytes, headers: Mapping[str, str], parameter: str, *, in_words: bool) -> bool:
    """Tell whether an error answer is about a parameter: by a member, or with `in_words` also by its sentence."""
    error = read(content, headers)
    named = re.compile(rf"(?<![a-z0-9]){parameter.replace('_', '[ _-]?')}(?![a-z0-9])", re.IGNORECASE)
    found = layers(error)
    names = [name for layer in found for name in layer]
    places = [str(layer.get(name) or "") for layer in found for name in ("param", "loc", "field", "path")]
    values = [layer.get(name) for layer in found for name in ("details", "detail", "error")]
    told = [sentence(error), *(value for value in values if isinstance(value, str))] if in_words else []
    return any(map(named.search, [*names, *places, *told]))


def _failure(account: Account, status: int, error: object, otherwise: str) -> Failure:
    message = account.cleaned(sentence(error))
    if status == HTTPStatus.UNAUTHORIZED or _WRONG_KEY.search(message):
        return Failure(Code.PROVIDER_AUTH, account.wrong_key)
    return Failure(_code(status, error), message or otherwise, status=status)


def _is_wrong_path(account: Account, error: object) -> bool:
    """Tell whether a 404 may mean a wrong path, not an unknown model."""
    return account.is_elsewhere and (not isinstance(error, dict | list) or not _VERSION.search(account.base_url))


def _delay(value: str) -> str:
    """Return a `Retry-After` to pass on (RFC 9110, section 10.2.3); empty if it is invalid or too long."""
    if _SECONDS.fullmatch(value):
        whole = ceil(float(value))
        return str(whole) if whole <= MAX_DELAY_SECONDS else ""
    try:
        at = parsedate_to_datetime(value) if _DATE.fullmatch(value) else None
    except ValueError:
        return ""
    return value if at and (at - datetime.now(UTC)).total_seconds() <= MAX_DELAY_SECONDS else ""


def _code(status: int, error: object) -> Code:
    codes = {str(layer.get(name)) for layer in layers(error) for name in ("code", "type")}
    if "insufficient_quota" in codes:
        return Code.PROVIDER_QUOTA
    if "content_filter" in codes:
        return Code.CONTENT_FILTER
    is_server_error = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return _CODES.get(status) or (Code.PROVIDER_ERROR if is_server_error else Code.PROVIDER_BAD_REQUEST)
