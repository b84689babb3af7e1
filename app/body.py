"""The request's body -> JSON, read by us: whatever its content type says, within a size and a time."""

import errno
import gc
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
from flask import Request
from gevent.monkey import is_module_patched
from gunicorn.http.errors import NoMoreData, ParseException

from app.answer import Failure, Gone
from app.config import Settings

MAX_VALUES = 500_000
"""About how many values a body may hold, counted by its brackets and commas, those in texts included: parsing more
would keep the event loop for longer than a tenth of a second, and no model takes so long a text."""

_LATE = re.compile("time(d )?out")
"""What uWSGI's and mod_wsgi's errors say of a body that did not come in time."""


def read_json(request: Request, settings: Settings) -> dict[str, Any]:
    """Read the body as one JSON object.

    Its content type does not matter: browsers send a string body as `text/plain`, curl as a form. Raises `Failure`: 413
    over `max_body_bytes`, 408 after `body_timeout_seconds`, 411 for chunks that the server does not decode, 415 for
    what says that it is a file upload or compressed, 400 for what is not strict JSON in UTF-8. Raises `Gone` when the
    client leaves before the end.
    """
    encoding = request.headers.get("Content-Encoding", "identity")
    if request.mimetype == "multipart/form-data" or encoding != "identity":
        raise Failure(415, "bad_type", "The body must be plain JSON, not a file upload and not compressed.")
    body = _parse(_read(request, settings))
    if not isinstance(body, dict):
        raise _invalid("it is not an object")
    return body


def _read(request: Request, settings: Settings) -> bytes:
    """Read all of the body, and one byte more than is allowed, to notice that it is too long."""
    length, limit = request.content_length, settings.max_body_bytes
    if length is not None and length > limit:
        raise _too_large(limit)
    if length is None and not request.environ.get("wsgi.input_terminated"):
        _refuse_chunks(request)
        return b""
    try:
        with _deadline(settings.body_timeout_seconds):
            data: bytes = request.environ["wsgi.input"].read(limit + 1 if length is None else length)
    except NoMoreData as error:
        raise _invalid("it ends before it is whole") from error
    except ParseException as error:
        raise _invalid("it does not come in proper chunks") from error
    except OSError as error:
        raise _why_unread(error) from error
    if len(data) > limit:
        raise _too_large(limit)
    if length is not None and len(data) < length:
        raise _invalid("it ends before it is whole")
    return data


def _refuse_chunks(request: Request) -> None:
    """Refuse a body that the server hands on as it came, in chunks whose end the application cannot see."""
    if "Transfer-Encoding" in request.headers:
        message = "The request's body needs a Content-Length: this server takes no body in chunks."
        raise Failure(411, "bad_body", message)


def _why_unread(error: OSError) -> Failure | Gone:
    """Return what an error of reading means: the body is late, or the client has left."""
    if error.errno == errno.ETIMEDOUT:  # the kernel's, over what the client did not take of an answer before
        return Gone("client_stalled")
    return _late() if isinstance(error, TimeoutError) or _LATE.search(str(error)) else Gone()


def _late() -> Failure:
    return Failure(408, "body_timeout", "The request's body did not arrive in time. Please try again.")


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Limit the time that reading takes. Threads have no such limit; their server has."""
    if not is_module_patched("socket"):
        yield
        return
    with gevent.Timeout(seconds, _late()):  # an Exception, at which gunicorn knows that the connection is spoilt
        yield


def _parse(body: bytes) -> Any:  # noqa: ANN401 - JSON is anything
    if sum(map(body.count, (b"[", b"{", b","))) > MAX_VALUES:
        raise _invalid("it holds too many values")
    try:
        with _collector_paused():
            return json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise _invalid("it is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise _invalid("it is not in UTF-8") from error
    except ValueError as error:
        raise _invalid(str(error).partition(":")[0]) from error


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep the garbage collector from looking through a large body's objects again and again while they are made."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("A key appears twice in one object")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"A number is {name}")


def _invalid(why: str) -> Failure:
    return Failure(400, "bad_body", f"The body is not valid JSON: {why[:1].lower()}{why[1:]}.")


def _too_large(limit: int) -> Failure:
    size = f"{limit // 1024} KiB" if limit < 1024**2 else f"{limit // 1024**2} MiB"
    return Failure(413, "too_large", f"The request is larger than {size}.")
