"""One connection to a provider: a socket, and one HTTP/1.1 exchange at a time over it, each step with a deadline."""

import select
import socket
import ssl
from contextlib import suppress
from enum import Enum, auto
from functools import partial
from time import monotonic
from typing import Any

import httptools

from ..failure import Code, Failure
from ..wait import Wait, retry_when_ready

_READ_BYTES = 64 * 1024
_MAX_HEADER_BYTES = 100 * 1024
MAX_HEADERS = 200
"""How many headers a response may have, its trailers and the responses that announce it (1xx) included."""


class State(Enum):
    """The states of a response.

    | state    | what is read next                           | bytes that are not HTTP | the connection's end |
    |----------|---------------------------------------------|-------------------------|----------------------|
    | HEAD     | its headers, perhaps after some 1xx         | BROKEN                  | `up_reset`           |
    | BODY     | a body that tells its end: COMPLETE         | BROKEN                  | `up_truncated`       |
    | REST     | a body that lasts as long as the connection | BROKEN                  | COMPLETE             |
    | COMPLETE | nothing                                     | no other response       |                      |
    | BROKEN   | nothing: `up_protocol` follows its bytes    |                         |                      |
    """

    HEAD = auto()
    BODY = auto()
    REST = auto()
    COMPLETE = auto()
    BROKEN = auto()


_COMPLETE = State.COMPLETE
_OVER = frozenset({State.COMPLETE, State.BROKEN})


class Connection:
    """A keep-alive connection to one origin.

    The socket is non-blocking; the caller's `Wait` waits for it. Raises `Failure` when the connection breaks, or when
    the other side does not speak HTTP.
    """

    def __init__(self, sock: socket.socket) -> None:
        """Take a connected socket."""
        sock.settimeout(0)
        self._socket = sock
        self._tls = sock if isinstance(sock, ssl.SSLSocket) else None
        self._wait: Wait
        self.opened = monotonic()
        self.heard = False
        self._sent = False
        self._reply = Reply()

    def send(self, request: bytes, wait: Wait, seconds: float) -> None:
        """Send a whole request, within so many seconds. `heard` tells whether any byte of its response came."""
        self._reply.close()
        self._reply = Reply()
        self.heard = self._sent = False
        self._wait = wait
        try:
            self._send_all(memoryview(request), monotonic() + seconds)
            self._sent = True
        except OSError as error:
            if self._is_answered():
                return
            if isinstance(error, TimeoutError):
                raise Failure(Code.UP_TIMEOUT, "The provider did not take the request in time.") from error
            raise Failure(Code.UP_RESET, "The connection to the provider was lost.") from error

    def head(self, seconds: float) -> "Reply | None":
        """Return the response once its headers are here, or None if they do not come within so many seconds."""
        deadline = monotonic() + seconds
        while self._reply.status is None:
            if self._reply.failure is not None:
                raise self._reply.failure
            if not self._receive(deadline):
                return None
        return self._reply

    def read(self, seconds: float) -> bytes | None:
        """Return the next bytes of the body; `b""` at its end, None if none came within so many seconds."""
        reply, deadline = self._reply, monotonic() + seconds
        while not reply.body and reply.state is not _COMPLETE:
            if reply.failure is not None:
                raise reply.failure
            if not self._receive(deadline):
                return None
        data = b"".join(reply.body)
        reply.body.clear()
        return data

    def settle(self, seconds: float) -> None:
        """Wait for the end of a response whose bytes nobody needs any more, for at most so many seconds."""
        deadline = monotonic() + seconds
        with suppress(Failure):
            while self._reply.state not in _OVER and not self._reply.body and self._receive(deadline):
                pass

    def finished(self) -> bool:
        """Tell whether the response is over and the connection can carry another; does not wait."""
        reply = self._reply
        if reply.state not in _OVER:
            try:
                self._take()
            except (OSError, Failure):
                return False
        return self._sent and reply.state is _COMPLETE and reply.keep_alive and not reply.body

    def alive(self) -> bool:
        """Tell whether an idle connection is usable: if anything can be read, it was closed or out of step."""
        try:
            self._socket.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            pass
        return False

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        self._reply.close()

    def _is_answered(self) -> bool:
        """Tell whether the provider answered and closed before it had read the whole request."""
        try:
            return self.head(0) is not None
        except Failure:
            return False

    def _send_all(self, rest: memoryview, deadline: float) -> None:
        while rest:
            send = partial(self._socket.send, rest)
            sent = retry_when_ready(send, self._wait, self._socket, deadline, select.POLLOUT)
            if not sent:  # gevent's TLS socket returns 0 instead of raising SSLWantWriteError
                self._wait(self._socket, select.POLLOUT, deadline)
            rest = rest[sent:]

    def _receive(self, deadline: float) -> bool:
        """Read once from the socket; False when the deadline passed first.

        Always waits first: reading from an empty socket would be a wasted system call for each event, and other chats
        get their turn while a provider sends faster than it is read.
        """
        try:
            if self._tls is None or not self._tls.pending():
                self._wait(self._socket, select.POLLIN, deadline)
            try:
                self._take()
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                retry_when_ready(self._take, self._wait, self._socket, deadline)
        except TimeoutError:
            return False
        except OSError as error:
            raise Failure(Code.UP_RESET, "The connection to the provider was lost.") from error
        return True

    def _take(self) -> None:
        data = self._socket.recv(_READ_BYTES)
        self.heard = self.heard or bool(data)
        self._reply.feed(data)


class Reply:
    """One HTTP/1.1 response, parsed as its bytes come in."""

    def __init__(self) -> None:
        """Expect a status line."""
        self.status: int | None = None
        self.headers: list[tuple[bytes, bytes]] = []
        self.body: list[bytes] = []
        self.state = State.HEAD
        self.keep_alive = False
        """Whether another response may follow on this connection; known once this one is complete."""
        self.failure: Failure | None = None
        """The failure of a broken one, which follows the bytes in `body`."""
        self._empty_bytes = 0
        self._header_count = 0
        self._parser: Any = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Parse the bytes of one read; `b""` is the connection's end. Raises `Failure` when that cuts the response."""
        if not data:
            self._end()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._break(error)
        self._empty_bytes = 0 if self.body else self._empty_bytes + len(data)
        if self._empty_bytes > _MAX_HEADER_BYTES or self._header_count > MAX_HEADERS:
            self._break(None)

    def named(self) -> dict[str, str]:
        """Return the headers by their names in small letters; several of one name are joined by commas."""
        named: dict[str, str] = {}
        for name, value in self.headers:
            key, text = name.decode("latin-1"), value.decode("latin-1")
            named[key] = f"{named[key]}, {text}" if key in named else text
        return named

    def close(self) -> None:
        """Break the reference cycle with the parser; otherwise both would stay until the garbage collector runs."""
        self._parser = self.failure = None

    def _break(self, error: Exception | None) -> None:
        """Note that the bytes are not HTTP. What came before counts; after a whole response, the error is ignored."""
        self.keep_alive = False
        if self.state is not _COMPLETE:
            self.state = State.BROKEN
            self.failure = Failure(Code.UP_PROTOCOL, "The provider's answer could not be understood.")
            self.failure.__cause__ = error

    def _end(self) -> None:
        if self.state is State.REST:
            self.state = _COMPLETE
        elif self.state is State.HEAD:
            raise Failure(Code.UP_RESET, "The provider closed the connection without an answer.")
        else:
            raise Failure(Code.UP_TRUNCATED, "The provider's answer was cut off before its end.")

    # Callbacks of httptools, in order. After a second response, which nobody asked for, the connection is not reused.

    def on_message_begin(self) -> None:
        """Notice a second response."""
        if self.state is _COMPLETE:
            self.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, without the space around its value; ignore those above `MAX_HEADERS`."""
        self._header_count += 1
        if self.state is not _COMPLETE and self._header_count <= MAX_HEADERS:
            self.headers.append((name.lower(), value.strip()))

    def on_headers_complete(self) -> None:
        """Take the status, and note how the body will end. A 1xx response only announces another one."""
        if self.state is not State.HEAD or self._header_count > MAX_HEADERS:
            return
        status = self._parser.get_status_code()
        if status < 200:  # noqa: PLR2004
            self.headers.clear()
            return
        self.status = status
        names = {name for name, _ in self.headers}
        self.state = State.BODY if names & {b"content-length", b"transfer-encoding"} else State.REST

    def on_body(self, data: bytes) -> None:
        """Keep some bytes of the body."""
        if self.state is not _COMPLETE:
            self.body.append(data)

    def on_message_complete(self) -> None:
        """Note that the response is complete, unless it was a 1xx."""
        if self.state in {State.BODY, State.REST}:
            self.state = _COMPLETE
            self.keep_alive = self._parser.should_keep_alive()
