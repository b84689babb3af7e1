"""The transport under the OpenAI SDK: our own connections, kept alive and bounded.

The SDK builds requests and raises its errors; it never reads a stream. Owning the socket gives what its stock transport
cannot: a read that times out and can go on, a close that is felt at once, no redirects, and a list of the headers that
may leave.
"""

import ssl
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from threading import Lock
from time import monotonic

import httpx2

from ..config import Settings
from ..failure import Code, Failure
from . import asking
from .connection import Connection, Response
from .dial import NAMES, Proxy, dial
from .egress import Origin, origin_of
from .names import Names

OUTBOUND_HEADERS = frozenset(
    {b"accept", b"api-key", b"authorization", b"content-length", b"content-type", b"openai-organization", b"user-agent"}
)
"""The only headers of the SDK's that leave; `Host` and `Accept-Encoding: identity` are written here."""

_DROPPED_HEADERS = {b"content-encoding", b"set-cookie"}
_COMPRESSED = {
    b"gzip",
    b"x-gzip",
    b"deflate",
    b"br",
    b"zstd",
    b"compress",
    b"x-compress",
    b"dcb",
    b"dcz",
    b"bzip2",
    b"xz",
}
"""The content codings that would have to be unpacked; what else is called one (`identity`, `utf-8`, ...) is none."""

MAX_ERROR_BYTES = 256 * 1024
"""Room for an error that has the whole question in it, as validators' have."""
ERROR_SECONDS = 2.0
MAX_IDLE_CONNECTIONS = 100
MAX_CONNECTION_SECONDS = 50.0
STALE_SECONDS = 1.0
"""How soon a dead connection shows itself."""


class Refusal(Exception):
    """The provider answered with an error status, after our own headers had gone out."""

    def __init__(self, response: httpx2.Response) -> None:
        """Take the answer, its body read."""
        super().__init__(response.status_code)
        self.response = response


class Body(httpx2.SyncByteStream):
    """A response's body, read by us with timeouts; read by the SDK only where it explains an error."""

    def __init__(self, transport: "Transport", origin: Origin, connection: Connection) -> None:
        """Take the connection, from which the headers may still have to come."""
        self._transport = transport
        self._origin = origin
        self._connection: Connection | None = connection
        self.begun = False
        """Whether the headers have come."""

    def head(self, seconds: float) -> httpx2.Response | None:
        """Return the response once its headers are here, None if they are not within so many seconds.

        The response is not kept: the SDK hangs the request on it, with all of its messages.
        """
        head = self._connection.head(max(seconds, 0)) if self._connection else None
        if head is None:
            return None
        self.begun = True
        asking.current().status = head.status
        return _response(head, self)

    def read(self, seconds: float) -> bytes | None:
        """Return the next bytes; `b""` at the body's proper end, None if none came within so many seconds.

        Raises `Failure` when the body is cut, and `Refusal` when the headers came late and refuse.
        """
        if self._connection is None:
            return b""
        if not self.begun:
            deadline = monotonic() + seconds
            if (response := self.head(seconds)) is None:
                return None
            if not response.is_success:
                response.read()
                raise Refusal(response)
            seconds = max(deadline - monotonic(), 0)
        return self._connection.read(seconds)

    def settle(self, seconds: float) -> None:
        """Wait a little for the end of a body that has said all, so that its connection can be kept."""
        if self._connection is not None:
            self._connection.settle(seconds)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the body of an error, as far as it is short and quick."""
        size, deadline = 0, monotonic() + ERROR_SECONDS
        while size < MAX_ERROR_BYTES and self._connection:
            try:
                data = self._connection.read(max(deadline - monotonic(), 0))
            except Failure:
                break
            if not data:
                break
            size += len(data)
            yield data
        self.close()

    def close(self) -> None:
        """Let go of the connection: kept for the next request if the answer is over, else closed at once."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._transport.release(self._origin, connection)


class Transport(httpx2.BaseTransport):
    """Sends the SDK's requests over connections of our own, of which it keeps the idle ones.

    One that is `public_only` connects to no other addresses than the public Internet's.
    """

    def __init__(self, settings: Settings, *, public_only: bool = False, names: Names = NAMES) -> None:
        """Take the timeouts, the proxy, and where names are looked up; nothing is connected yet."""
        self._public_only = public_only
        self._names = names
        self._connect_seconds = settings.connect_timeout_seconds
        self._proxy = Proxy(settings.https_proxy, settings.no_proxy)
        self._tls = ssl.create_default_context()
        self._idle: deque[tuple[Origin, Connection]] = deque()
        self._lock = Lock()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request and return its response, with our `Body` as the extension `body`.

        When the headers are not here within the request's read timeout, a 200 is returned on trust: the client's own
        headers must go out now, and `Body.read` goes on waiting for the provider's.

        An idle connection may have died unnoticed. When it turns out so at once, nothing was answered over it, and the
        request goes out once more over a new one; later, the provider may have begun to work, and to bill.
        """
        origin, started = origin_of(request.url), monotonic()
        deadline = started + request.extensions["timeout"]["read"]
        idle = self._take(origin)
        if idle is not None:
            try:
                return self._exchange(origin, idle, request, deadline)
            except Failure as failure:
                was_stale = not idle.heard and failure.code is Code.UP_RESET and monotonic() - started < STALE_SECONDS
                if not was_stale or asking.current().attempts >= asking.current().allowed:
                    raise
        return self._exchange(origin, None, request, deadline)

    def _exchange(
        self, origin: Origin, connection: Connection | None, request: httpx2.Request, deadline: float
    ) -> httpx2.Response:
        """Send over a connection, or a new one, and return the response."""
        asked = asking.current()
        asked.attempts, asked.status = asked.attempts + 1, None
        if connection is None:
            seconds = min(self._connect_seconds, deadline - monotonic())
            connection = Connection(
                dial(origin, self._tls, self._proxy, seconds, public_only=self._public_only, names=self._names)
            )
        body = Body(self, origin, connection)
        with ExitStack() as on_failure:
            on_failure.callback(body.close)
            connection.send(_bytes(request), deadline - monotonic())
            response = body.head(deadline - monotonic())
            on_failure.pop_all()
        if response is not None:
            return response
        return httpx2.Response(200, stream=body, extensions={"body": body})

    def _take(self, origin: Origin) -> Connection | None:
        """Return the idle connection to an origin that was used last, unless it has ended."""
        while (connection := self._pop(origin)) is not None:
            if _is_usable(connection):
                return connection
            connection.close()
        return None

    def _pop(self, origin: Origin) -> Connection | None:
        with self._lock:
            found = next((idle for idle in reversed(self._idle) if idle[0] == origin), None)
            if found is None:
                return None
            self._idle.remove(found)
            return found[1]

    def release(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection whose answer is over, close any other; close idle ones that have ended, or are too many."""
        if not connection.finished():
            connection.close()
            return
        with self._lock:
            self._idle.append((origin, connection))
            while self._idle and (len(self._idle) > MAX_IDLE_CONNECTIONS or not _is_usable(self._idle[0][1])):
                self._idle.popleft()[1].close()

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop()[1].close()


def _is_usable(connection: Connection) -> bool:
    return monotonic() - connection.opened < MAX_CONNECTION_SECONDS and connection.alive()


def _bytes(request: httpx2.Request) -> bytes:
    """Write a request as HTTP/1.1, with the headers that may leave."""
    lines = [
        b"%s %s HTTP/1.1" % (request.method.encode(), request.url.raw_path),
        b"host: " + request.url.netloc,
        b"accept-encoding: identity",
        *(b"%s: %s" % (name.lower(), value) for name, value in request.headers.raw if name.lower() in OUTBOUND_HEADERS),
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + request.read()


def _response(head: Response, body: Body) -> httpx2.Response:
    """Hand the response up without its cookies, which would be kept, and without a content encoding.

    Nobody asked for compressed bytes, and they are never unpacked.
    """
    values = [value.lower().split(b",") for name, value in head.headers if name == b"content-encoding"]
    encodings = {coding.strip() for value in values for coding in value}
    headers = [(name, value) for name, value in head.headers if name not in _DROPPED_HEADERS]
    response = httpx2.Response(head.status or 0, headers=headers, stream=body, extensions={"body": body})
    if response.is_success and encodings & _COMPRESSED:
        raise Failure(Code.UP_ENCODING, "The provider's answer is compressed, which was not asked for.")
    return response
