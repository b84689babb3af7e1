"""The body of a request -> JSON, whatever its content type, within a limit of size and time.

The cost of one body is limited, so that it delays other requests by a tenth of a second at most.
"""

import errno
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

import gevent
import msgspec
from flask import Request
from gevent.lock import Semaphore
from gevent.monkey import is_module_patched
from gunicorn.http.errors import NoMoreData, ParseException

from ..failure import Code, Failure, Gone

MAX_VALUES = 100_000
"""About how many values a body may hold: small objects take ten times the memory of their text."""
MAX_NUMBER_CHARACTERS = 100
"""The longest number: the time to read one grows with the square of its length."""
MAX_WIDTH = 4
"""How many bytes Python takes for a character at most."""
VALUE_BYTES = 128
"""About how many bytes Python takes for a value in an object or a list, beside its text."""
STEP_BYTES = 64 * 1024
"""How much is read at once. Before a larger body is parsed, which takes long, other requests get a turn."""
TURN_SECONDS = 0.001
"""Not 0: in a sleep of 0, gevent runs dozens of callbacks before it checks the sockets again."""

_MAX_QUOTES = 4 * (MAX_VALUES + 1)
"""Each value has at most a name and a text, with two quotes each."""
_NUMBERS = bytes.maketrans(b"+-.123456789Ee", b"0" * 14)
_LONG_NUMBER = b"0" * (MAX_NUMBER_CHARACTERS + 1)
_ENDS_IN_BACKSLASH = re.compile(rb'\\\\"')
"""Two backslashes before a quote, which may then end the string. (`re` searches three times as fast as `in`.)"""
_UNICODE_ESCAPE = re.compile(rb"\\u")
_TRUNCATED = "Input data was truncated"
"""The error of msgspec for a body that ends too early, or with half a surrogate pair."""
_LATE = re.compile("time(d )?out")
"""Found in the errors of uWSGI and mod_wsgi for a body that did not come in time."""

_turn = Semaphore()


class TooManyChunks(ParseException):  # type: ignore[misc]  # gunicorn has no types
    """The body has more small chunks than the server accepts."""


def _grow_freely(_: int) -> None:
    """Count no memory: for small bodies."""


def read_json(
    request: Request, limit: int, seconds: float, grow: Callable[[int], None] = _grow_freely
) -> dict[str, Any]:
    """Read the body as one JSON object of at most `limit` bytes within so many seconds.

    `grow` is called with the bytes of memory that each step takes. The content type does not matter: browsers send a
    string body as `text/plain`, curl as a form. Raises `Failure`: 413 above the limit, 408 if the body is late, 411 for
    chunks that the server does not decode, 415 for a file upload or a compressed body, 400 for anything but strict JSON
    in UTF-8. Raises `Gone` if the client leaves before the end.
    """
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if request.mimetype == "multipart/form-data" or encoding not in ("", "identity"):
        raise Failure(Code.BAD_TYPE, "The body must be plain JSON, not a file upload and not compressed.")
    data = _read(request, limit, seconds, grow)
    _take_turn(len(data))
    body = _parse(data, grow)
    _take_turn(len(data))
    if not isinstance(body, dict):
        raise _invalid("it is not an object")
    return body


def _read(request: Request, limit: int, seconds: float, grow: Callable[[int], None]) -> bytes:
    """Read all of the body."""
    length = request.content_length
    if length is not None and length > limit:
        raise _too_large(limit)
    if length is None and not request.environ.get("wsgi.input_terminated"):
        _refuse_chunks(request)
        return b""
    try:
        with _deadline(seconds):
            source = request.environ["wsgi.input"]
            return _read_chunks(source, limit, grow) if length is None else _read_length(source, length, grow)
    except TooManyChunks as error:
        message = "The body comes in too many small chunks. Please send larger ones, or a Content-Length."
        raise Failure(Code.BAD_BODY, message) from error
    except NoMoreData as error:
        raise _invalid("it ends before it is whole") from error
    except ParseException as error:
        raise _invalid("it does not come in proper chunks") from error
    except OSError as error:
        raise _why_unread(error) from error


def _read_length(source: IO[bytes], length: int, grow: Callable[[int], None]) -> bytes:
    data = _read_steps(source, length, grow)
    if len(data) < length:
        raise _invalid("it ends before it is whole")
    return data


def _read_chunks(source: IO[bytes], limit: int, grow: Callable[[int], None]) -> bytes:
    """Read to the end of the last chunk; one byte above the limit is enough to refuse."""
    data = _read_steps(source, limit + 1, grow)
    if len(data) > limit:
        raise _too_large(limit)
    return data


def _read_steps(source: IO[bytes], most: int, grow: Callable[[int], None]) -> bytes:
    """Read to the end, but at most `most` bytes, and count the memory of the bytes that come."""
    parts, size = [], 0
    while size < most and (part := source.read(min(STEP_BYTES, most - size))):
        grow(len(part))
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _refuse_chunks(request: Request) -> None:
    """Refuse chunks that the server did not decode: the application cannot see their end."""
    if "Transfer-Encoding" in request.headers:
        message = "The request's body needs a Content-Length: this server takes no body in chunks."
        raise Failure(Code.BAD_BODY, message, status=411)


def _why_unread(error: OSError) -> Failure | Gone:
    """Return the reason of a read error: the body is late, or the client has left."""
    if error.errno == errno.ETIMEDOUT:  # from the kernel: the client did not read the answer before this request
        return Gone("client_stalled")
    return _late() if isinstance(error, TimeoutError) or _LATE.search(str(error)) else Gone()


def _late() -> Failure:
    return Failure(Code.BODY_TIMEOUT, "The request's body did not arrive in time. Please try again.")


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Limit the time for reading under gevent; with threads, the server has a limit of its own."""
    if not is_module_patched("socket"):
        yield
        return
    with gevent.Timeout(seconds, _late()):  # an Exception, after which gunicorn closes the connection
        yield


def _take_turn(size: int) -> None:
    """Handle large bodies one after the other, and let other requests run in between."""
    if size > STEP_BYTES and is_module_patched("socket"):
        with _turn:
            gevent.sleep(TURN_SECONDS)


def _parse(body: bytes, grow: Callable[[int], None]) -> Any:  # noqa: ANN401 - JSON is anything
    """Parse strict JSON (RFC 8259), in UTF-8 and with no key twice in an object. Raises `Failure` 400.

    msgspec accepts any number of values, long numbers and duplicate keys: these are checked here, outside of strings.
    """
    bare = _without_strings(body)
    values = sum(map(bare.count, (b"[", b"{", b",")))
    if values > MAX_VALUES:
        raise _invalid("it holds too many values")
    if _LONG_NUMBER in bare.translate(_NUMBERS):
        raise _invalid("a number is too long")
    grow(len(body) * _width(body) + VALUE_BYTES * values)
    try:
        found = msgspec.json.decode(body)
    except RecursionError as error:
        raise _invalid("it is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise _invalid("it is not in UTF-8") from error
    except msgspec.DecodeError as error:
        why = str(error).removeprefix("JSON is malformed: ").partition(" - at ")[0]
        why = why.replace(_TRUNCATED, "it ends too early, or a text in it ends with half a surrogate pair")
        raise _invalid(why) from error
    if _count_members(found) < bare.count(b":"):
        raise _invalid("a key appears twice in one object")
    return found


def _without_strings(body: bytes) -> bytes:
    """Return the bytes outside of the quotes: brackets, commas, colons, numbers. Raises `Failure` 400."""
    if b"\\" in body:
        if _ENDS_IN_BACKSLASH.search(body):
            body = body.replace(rb"\\", b"")
        body = body.replace(rb"\"", b"")
    parts = body.split(b'"', _MAX_QUOTES)
    if b'"' in parts[-1]:
        raise _invalid("it holds too many values")
    return b"".join(parts[::2])


def _width(body: bytes) -> int:
    """Return how many bytes a character may take in Python: one outside of ASCII can make its whole text wider."""
    return 1 if body.isascii() and not _UNICODE_ESCAPE.search(body) else MAX_WIDTH


def _count_members(value: object) -> int:
    """Count the members of all objects in a JSON value."""
    count, rest = 0, [value]
    for item in rest:  # the list grows meanwhile
        if isinstance(item, dict):
            count += len(item)
            rest.extend(item.values())
        elif isinstance(item, list):
            rest.extend(item)
    return count


def _invalid(why: str) -> Failure:
    return Failure(Code.BAD_BODY, f"The body is not valid JSON: {why[:1].lower()}{why[1:]}.")


def _too_large(limit: int) -> Failure:
    size = f"{limit // 1024} KiB" if limit < 1024**2 else f"{limit // 1024**2} MiB"
    return Failure(Code.TOO_LARGE, f"The request is larger than {size}.")
