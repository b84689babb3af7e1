"""Routes each request to its provider, chooses the reply, and keeps a log of the last requests."""

import json
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from .faults import Faults, UnknownFaultError, parse
from .provider import Json, RefusalReason, Request, SimulatedProvider, encode
from .reply import REDIRECTED, Reply, answer, refusal, refuse
from .script import whole

KEPT = 1000
"""How many of the last requests are kept."""

_UNKNOWN_MODELS = ("unknown", "missing")


@dataclass(slots=True)
class HttpRequest:
    """A request as it came: `target` is the path and query, `headers` lower-case names and values in wire order."""

    method: str = ""
    target: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    keep_alive: bool = True


@dataclass(slots=True)
class LogEntry:
    """A request to a provider, as the log has it: with the answer's status, and who closed the connection.

    `closed` is "client" or "server", `closed_after` the seconds from the request to the close. Both are None while the
    connection is open, and if it was open when the answer was complete.
    """

    number: int
    request: HttpRequest
    body: Json | None
    came: float = field(default_factory=time.monotonic)
    answered: int | None = None
    closed: str | None = None
    closed_after: float | None = None

    def close(self, side: str) -> None:
        """Log which side closed the connection; the first counts."""
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


class Router:
    """The simulator's state: its providers, the keys it refuses, the seconds between events, the last requests."""

    def __init__(self, providers: Mapping[str, SimulatedProvider], refused: frozenset[str], pace: float) -> None:
        self._providers = providers
        self._refused = refused
        self._pace = pace
        self._log: deque[LogEntry] = deque(maxlen=KEPT)
        self._count = 0

    def reply(self, request: HttpRequest) -> tuple[Reply, LogEntry | None]:
        """Return the reply to a request, and its log entry if it was for a provider."""
        path, _, query = request.target.partition("?")
        provider = self._providers.get(path.split("/")[1]) if path.startswith("/") else None
        if provider is None:
            return self._own_page(request.method, path), None
        self._count += 1
        entry = LogEntry(self._count, request, _json(request.body))
        self._log.append(entry)
        path = path.removeprefix(f"/{provider.name}")
        if request.method == "GET" and provider.models_path.fullmatch(f"{path.removesuffix(REDIRECTED)}?{query}"):
            return self._list(provider, entry, path, query), entry
        return self._chat(provider, entry, path, query), entry

    def _own_page(self, method: str, path: str) -> Reply:
        if (method, path) == ("GET", "/"):
            return _page(200, {"simulator": "ready"})
        if (method, path) == ("GET", "/requests"):
            return _page(200, [entry.as_json() for entry in self._log])
        if (method, path) == ("DELETE", "/requests"):
            self._log.clear()
            return _page(200, [])
        bases = ", ".join(provider.base for provider in self._providers.values())
        return _page(404, {"error": {"message": f"Nothing is here. The base URLs are {bases}."}})

    def _chat(self, provider: SimulatedProvider, entry: LogEntry, path: str, query: str) -> Reply:
        body, method, key = entry.body or {}, entry.request.method, provider.key(dict(entry.request.headers))
        model = provider.model(path.removesuffix(REDIRECTED), query, body)
        request = Request(entry.number, method, path, query, key, body, model or "", model or "")
        if reason := self._early_reason(request, found=model is not None and method == "POST"):
            return refuse(provider, request, refusal(provider, request, reason))
        try:
            base, faults = parse(request.model)
        except UnknownFaultError as error:
            return refuse(provider, request, refusal(provider, request, "invalid", str(error)))
        request = replace(request, base=base)
        if refused := provider.check(request):
            return refuse(provider, request, refused)
        return answer(provider, request, _remaining(faults, path), self._pace)

    def _list(self, provider: SimulatedProvider, entry: LogEntry, path: str, query: str) -> Reply:
        """List the models. There is no model's name, so the key has the suffixes of faults."""
        key = provider.key(dict(entry.request.headers))
        request = Request(entry.number, entry.request.method, path, query, key, {}, "", "")
        if not key or key in self._refused:
            return refuse(provider, request, refusal(provider, request, "wrong key" if key else "no key"))
        try:
            faults = parse(key)[1]
        except UnknownFaultError as error:
            return refuse(provider, request, refusal(provider, request, "invalid", str(error)))
        return answer(provider, request, _remaining(faults, path), self._pace)

    def _early_reason(self, request: Request, *, found: bool) -> RefusalReason | None:
        """Return the reason to refuse a request before its model is looked at, or None."""
        reasons: tuple[tuple[bool, RefusalReason], ...] = (
            (not found, "path"),
            (not request.key, "no key"),
            (request.key in self._refused, "wrong key"),
            (not request.body, "json"),
            (not request.model, "no model"),
            (request.model.startswith(_UNKNOWN_MODELS), "unknown model"),
        )
        return next((reason for holds, reason in reasons if holds), None)


def _remaining(faults: Faults, path: str) -> Faults:
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
