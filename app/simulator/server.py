"""The server: HTTP/1.1, one answer at a time on each connection; it logs which side closed first."""

import asyncio
import signal
from collections import deque
from collections.abc import Callable
from typing import cast

import httptools

from .play import play
from .router import HttpRequest, LogEntry, Router

_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_BACKLOG = 1024


async def serve(host: str, port: int, router: Router, listening: Callable[[int], None]) -> None:
    """Serve until SIGTERM or SIGINT. `listening` is called with the port; for port 0, the system chooses one.

    Raises OSError if the address cannot be listened on.
    """
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    connections: set[Connection] = set()
    server = await loop.create_server(lambda: Connection(router, connections), host, port, backlog=_BACKLOG)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    listening(server.sockets[0].getsockname()[1])
    await stop.wait()
    server.close()
    for connection in tuple(connections):
        connection.abort()


class Connection(asyncio.Protocol):
    """One client's connection, and the callbacks of the parser.

    Reading never pauses, not even during an answer: otherwise a disconnect of the client would not be noticed at once.
    """

    def __init__(self, router: Router, connections: "set[Connection]") -> None:
        self._router = router
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._request = HttpRequest()
        self._waiting: deque[HttpRequest] = deque()
        self._answering: asyncio.Task[None] | None = None
        self._entry: LogEntry | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin. Back-pressure: the next write waits until the system has taken the one before."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=0)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Parse the bytes; a complete request is answered."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.transport.write(_BAD_REQUEST)
            self.transport.close()

    def eof_received(self) -> None:
        """Treat a half-closed connection as a disconnect."""
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Stop the answer; if nothing else is logged, the client closed the connection before its end."""
        self._connections.discard(self)
        if self._entry:
            self._entry.close("client")
        if self._answering:
            self._answering.cancel()

    def pause_writing(self) -> None:
        """Wait with further parts: the system's buffer is full."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Go on: the system has taken all bytes."""
        self._writable.set()

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._request = HttpRequest()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the path and query."""
        self._request.target += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._request.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._request.body += body

    def on_message_complete(self) -> None:
        """Answer the request after the ones before it."""
        self._request.method = self._parser.get_method().decode("latin-1")
        self._request.keep_alive = self._parser.should_keep_alive()
        self._waiting.append(self._request)
        if self._answering is None or self._answering.done():
            self._answering = asyncio.create_task(self._answer())
            self._answering.add_done_callback(self._answered)

    async def send(self, data: bytes) -> None:
        """Write, and wait until the system has taken it."""
        self.transport.write(data)
        await self._writable.wait()

    def abort(self) -> None:
        """Close at once, and drop unsent bytes."""
        self.transport.abort()

    async def _answer(self) -> None:
        while self._waiting:
            request = self._waiting.popleft()
            reply, self._entry = self._router.reply(request)
            await play(reply, self._entry, self, keep_alive=request.keep_alive)
            self._entry = None

    def _answered(self, task: asyncio.Task[None]) -> None:
        """After a bug, close the connection, so that the client does not wait, and let the loop print the error."""
        if not task.cancelled() and task.exception():
            self.abort()
            task.result()
