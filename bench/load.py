"""The load: clients that ask, read whole answers, and judge how they ended. One process, raw sockets."""

import errno
import gc
import math
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic

from bench.loop import READ, WRITE, Loop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Job:
    """One request: when to send it, on the monotonic clock, and after how many bytes of the body to leave."""

    request: bytes
    due: float = 0
    leave_after: float = math.inf


@dataclass(slots=True)
class Reply:
    """What came. Times are in seconds from the request; `clean` means that the body ended as HTTP ends it."""

    status: int = 0
    body: bytes = b""
    clean: bool = False
    first: float = math.nan
    seconds: float = 0
    left: bool = False


class Response:
    """A response, read as its bytes come in."""

    def __init__(self) -> None:
        """Expect a head."""
        self.status = 0
        self.over = False
        self.keep = True
        self.begun = False
        self.size = 0
        self._parts: list[bytes] = []
        self._rest = b""
        self._length: int | None = None

    def feed(self, data: bytes) -> None:
        """Take bytes; `over` says whether the response is whole."""
        data = self._rest + data
        if not self.status:
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                self._rest = head
                return
            self._read_head(head)
        self.begun = self.begun or bool(data)
        if self._length is None:
            self._read_chunks(data)
        else:
            self._rest = data
            self.size = len(data)
            self.over = len(data) >= self._length

    @property
    def body(self) -> bytes:
        """The body so far."""
        return b"".join(self._parts) if self._length is None else self._rest

    def _read_head(self, head: bytes) -> None:
        self.status = int(head.split(b" ", 2)[1])
        self.keep = not _CLOSES.search(head)
        length = _LENGTH.search(head)
        self._length = int(length[1]) if length else None if _CHUNKED.search(head) else 1 << 62

    def _read_chunks(self, data: bytes) -> None:
        place = 0
        while (line := data.find(b"\r\n", place)) >= 0:
            size = int(data[place:line], 16)
            end = line + 2 + size
            if end + 2 > len(data):
                break
            place = end + 2
            if not size:
                self.over = True
                break
            self._parts.append(data[line + 2 : end])
            self.size += size
        self._rest = data[place:]


class Client:
    """Sends one job after another, over one connection as long as the server keeps it."""

    def __init__(self, load: "Load", jobs: Iterator[Job], done: Callable[[Job, Reply], None]) -> None:
        """Take the jobs, and what to tell of each."""
        self._load, self._loop, self._jobs, self._done = load, load.loop, jobs, done
        self._socket: socket.socket | None = None
        self._fresh = True
        self._job = Job(b"")
        self._response: Response | None = None
        self._started = 0.0
        self._first = math.nan

    def go(self) -> None:
        """Begin the next job in its time, or end."""
        job = next(self._jobs, None)
        if job is None:
            self.close()
            self._load.ended(self)
            return
        self._job = job
        if job.due > monotonic():
            self._loop.at(job.due, self._begin)
        else:
            self._begin()

    def close(self) -> None:
        """Drop the connection."""
        if self._socket is not None:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _begin(self) -> None:
        self._started, self._first = monotonic(), math.nan
        self._load.running += 1
        self._send()

    def _send(self) -> None:
        self._response = Response()
        self._fresh = self._socket is None
        if self._socket is None:
            self._connect()
        else:
            self._write()

    def _connect(self) -> None:
        sock = self._socket = socket.socket()
        sock.settimeout(0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        problem = sock.connect_ex(self._load.address)
        self._loop.watch(sock.fileno(), WRITE, self._connected)
        if problem not in (0, errno.EINPROGRESS):
            self._cut()

    def _connected(self, _events: int) -> None:
        if self._socket is not None:
            self._loop.forget(self._socket.fileno())
            self._loop.watch(self._socket.fileno(), READ, self._read)
            self._write()

    def _write(self) -> None:
        try:
            if self._socket is not None and self._socket.send(self._job.request) < len(self._job.request):
                raise BlockingIOError
        except OSError:
            self._cut()

    def _read(self, _events: int) -> None:
        if self._socket is None:
            return
        try:
            data = self._socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if self._response is None:
            self.close()  # The server dropped a connection that nothing was asked over.
        elif not data:
            self._cut()
        else:
            self._feed(self._response, data)

    def _feed(self, response: Response, data: bytes) -> None:
        response.feed(data)
        if math.isnan(self._first) and response.begun:
            self._first = monotonic() - self._started
            self._load.begun += 1
        if response.over:
            self._finish(response, clean=True)
        elif response.size >= self._job.leave_after:
            self._finish(response, clean=False, left=True)

    def _cut(self) -> None:
        """End without an end, or try again: a kept connection may have died before the request reached the server."""
        response, fresh = self._response, self._fresh
        self.close()
        if response is not None and not response.status and not fresh:
            self._send()
        elif response is not None:
            self._finish(response, clean=False)

    def _finish(self, response: Response, *, clean: bool, left: bool = False) -> None:
        if not clean or not response.keep:
            self.close()
        self._response = None
        self._load.running -= 1
        seconds = monotonic() - self._started
        self._done(self._job, Reply(response.status, response.body, clean, self._first, seconds, left))
        # Not at once: a job after the other, however deep, would be one call within another.
        self._loop.at(0, self.go)


class Load:
    """Clients of one server, run together."""

    def __init__(self, port: int) -> None:
        """Take the server's port on this machine."""
        self.loop = Loop()
        self.address = ("127.0.0.1", port)
        self.running = 0
        self.begun = 0
        self._clients: set[Client] = set()

    def add(self, jobs: Iterator[Job], done: Callable[[Job, Reply], None]) -> None:
        """Add a client."""
        client = Client(self, jobs, done)
        self._clients.add(client)
        self.loop.at(0, client.go)

    def ended(self, client: Client) -> None:
        """Note that a client has no more jobs."""
        self._clients.discard(client)
        if not self._clients:
            self.loop.stop()

    def run(self) -> None:
        """Run until every client has ended, or the loop was stopped, without pauses for garbage."""
        gc.collect()
        gc.disable()
        self.loop.run()
        gc.enable()
        for client in self._clients:
            client.close()
        self.loop.close()
