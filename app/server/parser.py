"""gunicorn's HTTP parser, with turns for the other clients: no request, in however small pieces, holds them up."""

from typing import Any

from gevent import get_hub, sleep
from gunicorn import http
from gunicorn.http import body, message, parser, unreader
from gunicorn.http.errors import UnsupportedTransferCoding

from ..routes.body import TooManyChunks

MAX_HEAD_BYTES = 32 * 1024
"""The limit for all headers of a request together: Flask takes a millisecond for each kilobyte of them."""
SMALL_CHUNK_BYTES = 256
MAX_SMALL_CHUNKS = 20_000
"""How many chunks smaller than that a body may have: each costs as much as thousands of bytes in a large one. Streaming
JSON encoders send each bracket and comma as a chunk."""
SMALL_CHUNKS_AT_ONCE = 200
TURN_SECONDS = 0.001

_BEFORE_TIMERS = 1
"""A priority of libev: data that came in time is read before a timeout fires, though the event loop was late."""


class Unreader(unreader.SocketUnreader):
    """Reads from a client's socket. gevent's `recv` does not yield while there is data, and one client may hog it."""

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Read once, after a turn for all other clients whose sockets are ready."""
        if not _holds_decrypted(self.sock):
            _wait_readable(self.sock.fileno())
        data: bytes = super().chunk(size_hint)
        return data


class ChunkedReader(body.ChunkedReader):
    """Reads a chunked body: it may have a limited number of small chunks, and other clients get turns."""

    def __init__(self, req: message.Request, source: Unreader) -> None:
        """Begin to read."""
        super().__init__(req, source)
        self._small = 0

    def parse_chunk_size(self, source: Unreader, data: bytes | None = None) -> tuple[int, bytes | None]:
        """Return the next chunk's size, and what came behind it."""
        size, rest = super().parse_chunk_size(source, data)
        if size < SMALL_CHUNK_BYTES:
            self._count_small()
        return size, rest

    def _count_small(self) -> None:
        self._small += 1
        if self._small > MAX_SMALL_CHUNKS:
            raise TooManyChunks
        if self._small % SMALL_CHUNKS_AT_ONCE == 0:
            sleep(TURN_SECONDS)


class Request(message.Request):
    """A request: its head has a limit as a whole, and its only transfer coding may be `chunked`."""

    def parse(self, source: Unreader) -> bytes:
        """Read the head. gunicorn's own limit is the largest size of a header times the largest number of them."""
        self.max_buffer_headers = MAX_HEAD_BYTES
        rest: bytes = super().parse(source)
        return rest

    def set_body_reader(self) -> None:
        """Choose the body's reader. gunicorn accepts other codings below the chunks, and does not decode them."""
        super().set_body_reader()
        codings = ",".join(value for name, value in self.headers if name == "TRANSFER-ENCODING")
        if codings and codings.lower() != "chunked":
            raise UnsupportedTransferCoding(codings)
        if codings:
            self.body = body.Body(ChunkedReader(self, self.unreader))


class Parser(parser.RequestParser):
    """Reads the requests of one connection."""

    mesg_class = Request

    def __init__(self, cfg: Any, source: Any, address: Any) -> None:
        """Begin with a connection's socket."""
        super().__init__(cfg, source, address)
        self.unreader = Unreader(source)


def install() -> None:
    """Have gunicorn's workers use this parser."""
    original = http.get_parser

    def get_parser(cfg: Any, source: Any, address: Any, **other: Any) -> Any:
        is_http_1 = cfg.protocol == "http" and not other
        return Parser(cfg, source, address) if is_http_1 else original(cfg, source, address, **other)

    http.get_parser = get_parser


def _wait_readable(fd: int) -> None:
    hub = get_hub()
    ready = hub.loop.io(fd, 1, priority=_BEFORE_TIMERS)
    try:
        hub.wait(ready)
    finally:
        ready.close()


def _holds_decrypted(sock: Any) -> bool:
    """Tell whether TLS holds decrypted bytes: the socket is then not readable, though there is data."""
    return hasattr(sock, "pending") and sock.pending() > 0
