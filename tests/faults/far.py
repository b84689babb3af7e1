"""The provider of the fault suite: one listener on loopback that plays, for each model's name, what a test scripts.

It keeps what it was asked, and when the service let go of each connection.
"""

import fcntl
import json
import select
import socket
import struct
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Self

SECONDS = 30
"""How long anything may take before a script gives up."""

_CLOSED = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR


@dataclass(eq=False)
class Line:
    """One accepted connection."""

    socket: socket.socket
    closed: Event = field(default_factory=Event)
    closed_at: float | None = None

    def is_closed(self) -> bool:
        """Ask the kernel whether the other side is gone, or look whether this one is."""
        if self.socket.fileno() < 0:
            return True
        poll = select.poll()
        poll.register(self.socket, select.POLLRDHUP)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Note that the other side is gone, at the first time only."""
        if not self.closed.is_set():
            self.closed_at = time.monotonic()
            self.closed.set()


@dataclass(eq=False)
class Asked:
    """One request: its head and its body, when it had come whole, and on which connection."""

    head: bytes
    body: bytes
    at: float
    line: Line
    model: str = ""
    kept: bool = False
    """Whether a whole answer was sent, so that the connection may stay open for the next request."""

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers by their names in small letters."""
        lines = self.head.decode("latin-1").strip().split("\r\n")[1:]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    @property
    def closed_at(self) -> float | None:
        """Return when the service closed the connection, None while it is open."""
        return self.line.closed_at

    def wait_closed(self, seconds: float = SECONDS) -> float:
        """Wait until the service has closed the connection; return when that was."""
        assert self.line.closed.wait(seconds), f"the provider's connection is still open after {seconds} s"
        assert self.line.closed_at is not None
        return self.line.closed_at


class Peer:
    """A request's connection, as its script sees it.

    A script that returns leaves the connection open: for the next request, or for ever. `close` ends it.
    """

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self._line = asked.line
        self._socket = asked.line.socket

    def send(self, *parts: bytes) -> None:
        """Send each part by itself."""
        for part in parts:
            self.asked.kept = part.endswith(b"0\r\n\r\n")
            self._socket.sendall(part)

    def send_last(self, part: bytes) -> None:
        """Send what ends an answer; a last chunk is known for that without a word."""
        self.asked.kept = True
        self._socket.sendall(part)

    def wait(self, seconds: float) -> bool:
        """Wait, and tell whether the service has closed the connection meanwhile."""
        return self._line.closed.wait(seconds)

    def close(self) -> None:
        """Send a FIN; what the service does with its side is still noted."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Send a RST, once the service's kernel has all that was sent."""
        deadline = time.monotonic() + SECONDS
        while struct.unpack("i", fcntl.ioctl(self._socket, termios.TIOCOUTQ, b"\0" * 4))[0]:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._line.close()
        self._socket.close()


Script = Callable[[Peer], None]


class Far:
    """Plays the script of each request's model. Every request is kept, by its model."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._scripts: dict[str, tuple[Script, ...]] = {}
        self._asked: list[Asked] = []
        self._lines: dict[int, Line] = {}
        self._lock = Lock()
        self._epoll = select.epoll()
        self.errors: list[BaseException] = []
        self.connections = 0

    def script(self, model: str, *scripts: Script) -> str:
        """Play this for a model: one script for each request in turn, the last one for all that follow."""
        assert model not in self._scripts, f"{model} is used twice"
        self._scripts[model] = scripts
        return model

    def asked(self, model: str) -> list[Asked]:
        """Return every request for a model, the newest last."""
        with self._lock:
            return [asked for asked in self._asked if asked.model == model]

    def all_asked(self) -> list[Asked]:
        """Return every request."""
        with self._lock:
            return list(self._asked)

    def hang_up(self) -> None:
        """End the connections that are kept for a next request, so that it comes over a new one."""
        with self._lock:
            for line in self._lines.values():
                with suppress(OSError):
                    line.socket.shutdown(socket.SHUT_WR)

    def __enter__(self) -> Self:
        Thread(target=self._accept, daemon=True).start()
        Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for line in list(self._lines.values()):
            with suppress(OSError):
                line.socket.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                line = Line(sock)
                self.connections += 1
                with self._lock:
                    self._lines[sock.fileno()] = line
                    self._epoll.register(sock.fileno(), _CLOSED)
                Thread(target=self._serve, args=(line, sock.fileno()), daemon=True).start()

    def _watch(self) -> None:
        """Note when the service closes a connection, whatever its script is doing, and whether or not it reads."""
        while True:
            for number, _ in self._epoll.poll():
                with self._lock:
                    line = self._lines.get(number)
                    if line is not None and line.is_closed():  # the number may be another's by now
                        line.close()
                        self._forget(number, line)

    def _serve(self, line: Line, number: int) -> None:
        """Play a connection's requests, one after the other; a service that leaves early is no failure."""
        rest = b""
        try:
            while True:
                asked, rest = _request(line, rest)
                with self._lock:
                    self._asked.append(asked)
                    turn = sum(one.model == asked.model for one in self._asked) - 1
                scripts = self._scripts[asked.model]
                scripts[min(turn, len(scripts) - 1)](Peer(asked))
        except OSError:
            pass
        except BaseException as error:  # noqa: BLE001 - kept for the test to see
            self.errors.append(error)
        finally:
            with self._lock:
                line.close()
                self._forget(number, line)
                line.socket.close()

    def _forget(self, number: int, line: Line) -> None:
        """Watch a connection no longer; its number will be another's."""
        if self._lines.get(number) is line:
            del self._lines[number]
            with suppress(OSError):  # a script has closed it
                self._epoll.unregister(number)


def _request(line: Line, data: bytes) -> tuple[Asked, bytes]:
    """Read one request; return it, and what came behind it."""
    while b"\r\n\r\n" not in data:
        data += _receive(line)
    head, _, data = data.partition(b"\r\n\r\n")
    asked = Asked(head, b"", 0, line)
    length = int(asked.headers.get("content-length", "0"))
    while len(data) < length:
        data += _receive(line)
    asked.body, asked.at = data[:length], time.monotonic()
    asked.model = str(json.loads(asked.body)["model"])
    return asked, data[length:]


def _receive(line: Line) -> bytes:
    data = line.socket.recv(65536)
    if not data:
        raise ConnectionError("the service closed")
    return data
