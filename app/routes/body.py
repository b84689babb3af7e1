"""The request's body -> JSON, read by us: whatever its content type says, within a size and a time.

What one body costs is bounded so that others wait for it for a tenth of a second at most, and what all together take of
the memory is, too.
"""

import errno
import gc
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import gevent
from flask import Request
from gevent.lock import Semaphore
from gevent.monkey import is_module_patched
from gunicorn.http.errors import NoMoreData, ParseException

from ..failure import Code, Failure, Gone

MAX_VALUES = 100_000
"""About how many values a body may hold, names included: parsing so many takes a tenth of a second."""
MAX_NUMBER_CHARACTERS = 100
"""The longest number: the time to read one grows with the square of its length."""
MAX_WIDTH = 4
"""The most bytes that Python takes for a character."""
VALUE_BYTES = 128
"""About what it takes for a value of an object or a list, beside its text."""
USER_SHARE = 0.25
STEP_BYTES = 64 * 1024
"""How much is read at once, and from which size on a body takes long enough for others to have a turn before it."""
TURN_SECONDS = 0.001
"""Above 0, for which gevent runs dozens of its callbacks before it looks at the sockets again."""

_LATE = re.compile("time(d )?out")
"""What uWSGI's and mod_wsgi's errors say of a body that did not come in time."""

_turn = Semaphore()


class TooManyChunks(ParseException):  # type: ignore[misc]  # gunicorn has no types
    """The body comes in more small chunks than the server takes."""


class Bodies:
    """How many bytes of this process's memory the bodies of its chats take, and whose they are."""

    def __init__(self, most: int) -> None:
        """Take how many there may be."""
        self._most = most
        self._held: Counter[str] = Counter()
        self._lock = Lock()

    @contextmanager
    def share(self, user: str, announced: int = 0) -> Iterator[Callable[[int], None]]:
        """Return what takes so many bytes more for one request. That raises `Failure` 503 when there is no room.

        So does this, before anything is read, if there is none for what is `announced`; it takes none, because what is
        announced may never come. A user's first body may take all that is free; together, several of one user may take
        a part of the whole. One that is alone may take more, for there would never be room for it.
        """
        taken = 0
        self._refuse(announced, 0)

        def grow(number: int) -> None:
            nonlocal taken
            self._take(user, number, taken)
            taken += number

        try:
            yield grow
        finally:
            self._give_back(user, taken)

    def _take(self, user: str, number: int, taken: int) -> None:
        with self._lock:
            self._refuse(number, taken, self._held[user])
            self._held[user] += number

    def _refuse(self, number: int, taken: int, held: int = 0) -> None:
        """Raise `Failure` if there is no room for so many more: the user has `held`, and this request `taken`."""
        total = self._held.total()
        is_too_much_for_one = held > taken and held + number > self._most * USER_SHARE
        if is_too_much_for_one or (total > taken and total + number > self._most):
            message = "The service is reading as much as it can. Please try again in a moment."
            raise Failure(Code.SHED, message)

    def _give_back(self, user: str, number: int) -> None:
        with self._lock:
            self._held[user] -= number
            if not self._held[user]:
                del self._held[user]


def _grow_freely(_: int) -> None:
    """Count nothing, for bodies that are small."""


def read_json(
    request: Request, limit: int, seconds: float, grow: Callable[[int], None] = _grow_freely
) -> dict[str, Any]:
    """Read the body as one JSON object of at most so many bytes within so many seconds; `grow` is told how many.

    Its content type does not matter: browsers send a string body as `text/plain`, curl as a form. Raises `Failure`: 413
    over the limit, 408 when it is late, 411 for chunks that the server does not decode, 415 for what says that it is a
    file upload or compressed, 400 for what is not strict JSON in UTF-8. Raises `Gone` when the client leaves before
    the end.
    """
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if request.mimetype == "multipart/form-data" or encoding not in ("", "identity"):
        raise Failure(Code.BAD_TYPE, "The body must be plain JSON, not a file upload and not compressed.")
    data = _read(request, limit, seconds, grow)
    marks = _marks(data)
    grow(len(data) * _width(data) + VALUE_BYTES * min(marks, MAX_VALUES))
    _take_turn(len(data))
    body = _parse(data, marks)
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


def _read_length(source: Any, length: int, grow: Callable[[int], None]) -> bytes:  # noqa: ANN401
    data = _read_steps(source, length, grow)
    if len(data) < length:
        raise _invalid("it ends before it is whole")
    return data


def _read_chunks(source: Any, limit: int, grow: Callable[[int], None]) -> bytes:  # noqa: ANN401
    """Read to the end, which may be known only behind it."""
    data = _read_steps(source, limit + 1, grow)
    if len(data) > limit:
        raise _too_large(limit)
    return data


def _read_steps(source: Any, most: int, grow: Callable[[int], None]) -> bytes:  # noqa: ANN401
    """Read to the end, but not more than so much; what is announced and does not come takes no room."""
    parts, size = [], 0
    while size < most and (part := source.read(min(STEP_BYTES, most - size))):
        grow(len(part))
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _width(body: bytes) -> int:
    """Return how many bytes a character may take in Python: one beyond Latin-1 widens the whole text around it."""
    return 1 if body.isascii() and rb"\u" not in body else MAX_WIDTH


def _refuse_chunks(request: Request) -> None:
    """Refuse a body that the server hands on as it came, in chunks whose end the application cannot see."""
    if "Transfer-Encoding" in request.headers:
        message = "The request's body needs a Content-Length: this server takes no body in chunks."
        raise Failure(Code.BAD_BODY, message, status=411)


def _why_unread(error: OSError) -> Failure | Gone:
    """Return what an error of reading means: the body is late, or the client has left."""
    if error.errno == errno.ETIMEDOUT:  # the kernel's, over what the client did not take of an answer before
        return Gone("client_stalled")
    return _late() if isinstance(error, TimeoutError) or _LATE.search(str(error)) else Gone()


def _late() -> Failure:
    return Failure(Code.BODY_TIMEOUT, "The request's body did not arrive in time. Please try again.")


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Limit the time that reading takes. Threads have no such limit; their server has."""
    if not is_module_patched("socket"):
        yield
        return
    with gevent.Timeout(seconds, _late()):  # an Exception, at which gunicorn knows that the connection is spoilt
        yield


def _take_turn(size: int) -> None:
    """Have large bodies wait for each other, and for everybody else in between."""
    if size > STEP_BYTES and is_module_patched("socket"):
        with _turn:
            gevent.sleep(TURN_SECONDS)


def _parse(body: bytes, marks: int) -> Any:  # noqa: ANN401 - JSON is anything
    if marks > MAX_VALUES and _holds_too_many(body):
        raise _invalid("it holds too many values")
    try:
        with _collector_paused():
            return json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_refuse_constant, **_NUMBERS)
    except RecursionError as error:
        raise _invalid("it is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise _invalid("it is not in UTF-8") from error
    except ValueError as error:
        raise _invalid(str(error).partition(":")[0]) from error


def _marks(body: bytes) -> int:
    return sum(map(body.count, (b"[", b"{", b",")))


def _holds_too_many(body: bytes) -> bool:
    """Count again, only what stands outside of the quotes. A mark brings a name and a text with it at most."""
    bare = body.replace(rb"\\", b"").replace(rb"\"", b"")
    if bare.count(b'"') > 4 * (MAX_VALUES + 1):
        return True
    return _marks(b"".join(bare.split(b'"')[::2])) > MAX_VALUES


def _number(kind: type[int] | type[float]) -> Callable[[str], float]:
    """Return what reads a number that is not too long."""

    def read(text: str) -> float:
        if len(text) > MAX_NUMBER_CHARACTERS:
            raise ValueError("A number is too long")
        return kind(text)

    return read


_NUMBERS: dict[str, Any] = {"parse_int": _number(int), "parse_float": _number(float)}


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
    return Failure(Code.BAD_BODY, f"The body is not valid JSON: {why[:1].lower()}{why[1:]}.")


def _too_large(limit: int) -> Failure:
    size = f"{limit // 1024} KiB" if limit < 1024**2 else f"{limit // 1024**2} MiB"
    return Failure(Code.TOO_LARGE, f"The request is larger than {size}.")
