"""The connection pool, and the exchange of one request and its answer over one of the connections.

It is our own because a stock HTTP client lacks four things: a read that can go on after a timeout, a close that the
provider notices at once, no redirects, and addresses that are checked at the moment of connecting.
"""

import ssl
from collections import deque
from contextlib import ExitStack
from threading import Lock
from time import monotonic

from ..config import Settings
from ..failure import Code, Failure
from ..proxy import Proxy
from .call import Call
from .connection import Connection, Reply
from .dial import NAMES, dial
from .egress import Origin
from .names import Names

MAX_ERROR_BYTES = 256 * 1024
"""Enough for an error that repeats the whole request, as those of validators do."""
ERROR_SECONDS = 2.0
MAX_IDLE_CONNECTIONS = 100
MAX_CONNECTION_SECONDS = 50.0
STALE_SECONDS = 1.0
"""How soon a write to a dead connection fails."""

_COMPRESSED = frozenset(b"gzip x-gzip deflate br zstd compress x-compress dcb dcz bzip2 xz".split())
"""The content codings that need decompression; other values (`identity`, `utf-8`, ...) do not compress."""
_OK = range(200, 300)


class Refused(Exception):
    """The provider answered with an error status."""

    def __init__(self, status: int, headers: dict[str, str], content: bytes) -> None:
        """Take the status, the headers by their names in small letters, and as much of the body as was read."""
        super().__init__(status)
        self.status = status
        self.headers = headers
        self.content = content


class Exchange:
    """One request that was sent, and its answer, which is read step by step.

    Reading raises `Refused` for an error status, and `Failure` when the answer is cut, is compressed, or is not HTTP.
    """

    def __init__(self, pool: "Pool", origin: Origin, connection: Connection, call: Call) -> None:
        """Take the connection; the headers of the answer have not come yet."""
        self._pool = pool
        self._origin = origin
        self._connection: Connection | None = connection
        self._call = call
        self.head: Reply | None = None
        """The answer's status and headers, once they have come."""

    def wait_for_head(self, seconds: float) -> Reply | None:
        """Return the status and the headers, or None if they do not come within so many seconds."""
        if self.head is None and self._connection is not None:
            self.head = self._connection.head(max(seconds, 0))
            if self.head is not None:
                self._call.trace.status = self.head.status
                _refuse_compressed(self.head)
        return self.head

    @property
    def is_refused(self) -> bool:
        """Whether the headers have come with an error status."""
        return self.head is not None and self.head.status not in _OK

    def read(self, seconds: float) -> bytes | None:
        """Return the next bytes; `b""` at the body's proper end, None if none came within so many seconds."""
        if self._connection is None:
            return b""
        if self.head is None:
            deadline = monotonic() + seconds
            head = self.wait_for_head(seconds)
            if head is None:
                return None
            if self.is_refused:
                raise self.refusal()
            seconds = max(deadline - monotonic(), 0)
        return self._connection.read(seconds)

    def refusal(self) -> Refused:
        """Read the body of an error answer, up to `MAX_ERROR_BYTES` and `ERROR_SECONDS`, and return the exception."""
        head = self.head or Reply()
        content, deadline = bytearray(), monotonic() + ERROR_SECONDS
        while len(content) < MAX_ERROR_BYTES and self._connection is not None:
            try:
                data = self._connection.read(max(deadline - monotonic(), 0))
            except Failure:
                break
            if not data:
                break
            content += data
        self.close()
        return Refused(head.status or 0, head.named(), bytes(content))

    def settle(self, seconds: float) -> None:
        """Wait a little for the proper end of the body, whose bytes are not needed, so that the connection is kept."""
        if self._connection is not None:
            self._connection.settle(seconds)

    def close(self) -> None:
        """Give the connection back to the pool if the answer is over, else close it at once."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.release(self._origin, connection)


def _refuse_compressed(head: Reply) -> None:
    """Raise `Failure` for a compressed answer: it was not asked for, and is never decompressed."""
    codings = head.named().get("content-encoding", "").lower().encode().split(b",")
    if head.status in _OK and _COMPRESSED.intersection(coding.strip() for coding in codings):
        raise Failure(Code.UP_ENCODING, "The provider's answer is compressed, which was not asked for.")


class Pool:
    """A bounded pool of idle keep-alive connections, which sends requests over them or over new ones.

    With `public_only`, it connects to addresses of the public Internet alone.
    """

    def __init__(self, settings: Settings, *, public_only: bool = False, names: Names = NAMES) -> None:
        """Take the timeouts, the proxy and the name look-up; nothing is connected yet."""
        self._public_only = public_only
        self._names = names
        self._connect_seconds = settings.connect_timeout_seconds
        self._proxy = Proxy(settings.https_proxy, settings.no_proxy)
        self._tls = ssl.create_default_context()
        self._idle: deque[tuple[Origin, Connection]] = deque()
        self._lock = Lock()

    def send(self, origin: Origin, request: bytes, call: Call) -> Exchange:
        """Send a whole request. Returns when the headers are here, or at the call's deadline without them.

        An idle connection may have been closed without notice. If it fails at once and without an answer, the request
        is sent again over a new one. If it fails later, it is not: the provider may have begun to work, and to bill.
        """
        started, idle = monotonic(), self._take(origin)
        if idle is not None:
            try:
                return self._exchange(origin, idle, request, call)
            except Failure as failure:
                was_stale = not idle.heard and failure.code is Code.UP_RESET and monotonic() - started < STALE_SECONDS
                if not was_stale or not call.may_retry:
                    raise
        return self._exchange(origin, None, request, call)

    def _exchange(self, origin: Origin, connection: Connection | None, request: bytes, call: Call) -> Exchange:
        """Send over this connection, or over a new one."""
        call.begin_attempt()
        connection = connection or self._connect(origin, call)
        exchange = Exchange(self, origin, connection, call)
        with ExitStack() as on_failure:
            on_failure.callback(exchange.close)
            connection.send(request, call.wait, call.deadline - monotonic())
            exchange.wait_for_head(call.deadline - monotonic())
            on_failure.pop_all()
        return exchange

    def _connect(self, origin: Origin, call: Call) -> Connection:
        seconds = min(self._connect_seconds, call.deadline - monotonic())
        return Connection(
            dial(origin, self._tls, self._proxy, seconds, call, public_only=self._public_only, names=self._names)
        )

    def _take(self, origin: Origin) -> Connection | None:
        """Return the usable idle connection to an origin that was used last, or None."""
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
        """Keep a connection whose answer is over, or close it; also close idle ones that are dead or too many."""
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
