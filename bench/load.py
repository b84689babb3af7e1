"""The load: clients that ask and read whole answers. One process, raw sockets."""

import errno
import gc
import math
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import monotonic

import httptools

from bench.loop import READ, WRITE, Loop


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
    clean: bool = False
    first: float = math.nan
    seconds: float = 0
    left: bool = False
    size: int = 0
    """How many bytes of the body came."""
    parts: list[bytes] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        """The body so far."""
        return b"".join(self.parts)

    # What httptools calls.

    def on_body(self, data: bytes) -> None:
        """Take a part of the body."""
        self.parts.append(data)
        self.size += len(data)

    def on_message_complete(self) -> None:
        """Note the end of the body."""
        self.clean = True


class Client:
    """Sends one job after another, over one connection as long as the server keeps it."""

    def __init__(self, load: "Load", jobs: Iterator[Job], done: Callable[[Job, Reply], None]) -> None:
        """Take the jobs, and what to tell of each."""
        self._load, self._loop, self._jobs, self._done = load, load.loop, jobs, done
        self._socket: socket.socket | None = None
        self._fresh = True
        self._job = Job(b"")
        self._reply: Reply | None = None
        self._started = 0.0

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
        self._started = monotonic()
        self._load.running += 1
        self._send()

    def _send(self) -> None:
        self._reply = Reply()
        self._parser = httptools.HttpResponseParser(self._reply)
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
        if self._reply is None:
            self.close()  # The server dropped a connection that nothing was asked over.
        elif not data:
            self._cut()
        else:
            self._feed(self._reply, data)

    def _feed(self, reply: Reply, data: bytes) -> None:
        self._parser.feed_data(data)
        reply.status = self._parser.get_status_code()
        if math.isnan(reply.first) and reply.size:
            reply.first = monotonic() - self._started
            self._load.begun += 1
        if reply.clean:
            self._finish(reply, keep=self._parser.should_keep_alive())
        elif reply.size >= self._job.leave_after:
            reply.left = True
            self._finish(reply, keep=False)

    def _cut(self) -> None:
        """End without an end, or try again: a kept connection may have died before the request reached the server."""
        reply, fresh = self._reply, self._fresh
        self.close()
        if reply is not None and not reply.status and not fresh:
            self._send()
        elif reply is not None:
            self._finish(reply, keep=False)

    def _finish(self, reply: Reply, *, keep: bool) -> None:
        if not keep:
            self.close()
        self._reply = None
        self._load.running -= 1
        reply.seconds = monotonic() - self._started
        self._done(self._job, reply)
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
