"""Takes each request: notes it, finds its dialect, and returns the reply."""

import json
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from .dialect import Asked, Dialect, Json, Trouble, encode
from .faults import Faults, UnknownFaultError, parse
from .reply import REDIRECTED, Reply, answer, refuse, refuse_as
from .script import whole

KEPT = 1000
"""How many of the last requests are kept."""

_UNKNOWN_MODELS = ("unknown", "missing")


@dataclass(slots=True)
class Request:
    """A request as it came: `target` is the path and query, `headers` lower-case names and values in wire order."""

    method: str = ""
    target: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    keep_alive: bool = True


@dataclass(slots=True)
class Note:
    """The note of a request under a dialect: the request, the status of the answer, and who closed the connection.

    `closed` is "client" or "server", `closed_after` the seconds from the request to the close. Both are None while the
    connection is open, and if it was open when the answer was complete.
    """

    number: int
    request: Request
    body: Json | None
    came: float = field(default_factory=time.monotonic)
    answered: int | None = None
    closed: str | None = None
    closed_after: float | None = None

    def close(self, side: str) -> None:
        """Note which side closed the connection; the first counts."""
        if self.closed is None:
            self.closed, self.closed_after = side, time.monotonic() - self.came

    def as_json(self) -> Json:
        """Return what `GET /requests` shows."""
        return {
            "id": self.number,
            "method": self.request.method,
            "path": self.request.target,
            "headers": self.request.headers,
            "body": self.body,
            "answered": self.answered,
            "closed": self.closed,
            "closedAfter": self.closed_after,
        }


class Desk:
    """The simulator's state: its dialects, the keys it refuses, the seconds between events, the last requests."""

    def __init__(self, dialects: Mapping[str, Dialect], refused: frozenset[str], pace: float) -> None:
        self._dialects = dialects
        self._refused = refused
        self._pace = pace
        self._notes: deque[Note] = deque(maxlen=KEPT)
        self._count = 0

    def take(self, request: Request) -> tuple[Reply, Note | None]:
        """Return the reply to a request, and its note if it was for a dialect."""
        path, _, query = request.target.partition("?")
        dialect = self._dialects.get(path.split("/")[1]) if path.startswith("/") else None
        if dialect is None:
            return self._own_page(request.method, path), None
        self._count += 1
        note = Note(self._count, request, _json(request.body))
        self._notes.append(note)
        path = path.removeprefix(f"/{dialect.name}")
        if request.method == "GET" and dialect.models_path.fullmatch(f"{path.removesuffix(REDIRECTED)}?{query}"):
            return self._list(dialect, note, path, query), note
        return self._chat(dialect, note, path, query), note

    def _own_page(self, method: str, path: str) -> Reply:
        if (method, path) == ("GET", "/"):
            return _page(200, {"simulator": "ready"})
        if (method, path) == ("GET", "/requests"):
            return _page(200, [note.as_json() for note in self._notes])
        if (method, path) == ("DELETE", "/requests"):
            self._notes.clear()
            return _page(200, [])
        bases = ", ".join(dialect.base for dialect in self._dialects.values())
        return _page(404, {"error": {"message": f"Nothing is here. The base URLs are {bases}."}})

    def _chat(self, dialect: Dialect, note: Note, path: str, query: str) -> Reply:
        body, method, key = note.body or {}, note.request.method, dialect.key(dict(note.request.headers))
        model = dialect.model(path.removesuffix(REDIRECTED), query, body)
        asked = Asked(note.number, method, path, query, key, body, model or "", model or "")
        if trouble := self._trouble(asked, found=model is not None and method == "POST"):
            return refuse(dialect, asked, trouble)
        try:
            base, faults = parse(asked.model)
        except UnknownFaultError as error:
            return refuse(dialect, asked, "invalid", str(error))
        asked = replace(asked, base=base)
        if refusal := dialect.check(asked):
            return refuse_as(dialect, asked, refusal)
        return answer(dialect, asked, _left(faults, path), self._pace)

    def _list(self, dialect: Dialect, note: Note, path: str, query: str) -> Reply:
        """List the models. There is no model's name, so the key has the suffixes of faults."""
        key = dialect.key(dict(note.request.headers))
        asked = Asked(note.number, note.request.method, path, query, key, {}, "", "")
        if not key or key in self._refused:
            return refuse(dialect, asked, "wrong key" if key else "no key")
        try:
            faults = parse(key)[1]
        except UnknownFaultError as error:
            return refuse(dialect, asked, "invalid", str(error))
        return answer(dialect, asked, _left(faults, path), self._pace)

    def _trouble(self, asked: Asked, *, found: bool) -> Trouble | None:
        """Return the reason to refuse a request before its model is looked at, or None."""
        troubles: tuple[tuple[bool, Trouble], ...] = (
            (not found, "path"),
            (not asked.key, "no key"),
            (asked.key in self._refused, "wrong key"),
            (not asked.body, "json"),
            (not asked.model, "no model"),
            (asked.model.startswith(_UNKNOWN_MODELS), "unknown model"),
        )
        return next((trouble for holds, trouble in troubles if holds), None)


def _left(faults: Faults, path: str) -> Faults:
    """Return the faults, without `redirect` for a request that was redirected already."""
    return {name: faults[name] for name in faults if name != "redirect" or not path.endswith(REDIRECTED)}


def _page(status: int, value: object) -> Reply:
    return Reply(status, {"content-type": "application/json"}, whole(encode(value), {}))


def _json(body: bytearray) -> Json | None:
    try:
        value = json.loads(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
