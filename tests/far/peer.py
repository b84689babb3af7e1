"""One connection of the scripted provider, and what came over it."""

import fcntl
import select
import socket
import struct
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Thread

SECONDS = 30
"""How long anything may take before a script gives up."""


@dataclass(eq=False)
class Asked:
    """One request: its head and its body, when it had come whole, and on which connection."""

    head: bytes
    body: bytes
    at: float
    line: "Peer"
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
        """Return when the other side closed the connection, None while it is open."""
        return self.line.closed_at

    def wait_closed(self, seconds: float = SECONDS) -> float:
        """Wait until the other side has closed the connection; return when that was."""
        assert self.line.wait(seconds), f"the provider's connection is still open after {seconds} s"
        assert self.line.closed_at is not None
        return self.line.closed_at


class Peer:
    """One accepted connection, as a script sees it. `asked` is its last request, `requests` are the bytes of all."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.closed = Event()
        self.closed_at: float | None = None
        self.requests: list[bytes] = []
        self.asked = Asked(b"", b"", 0, self)
        self._rest = bytearray()

    def first(self) -> None:
        """Wait for whatever comes first."""
        self._rest += self._receive()

    def head(self) -> bytes:
        """Read a request's head and leave its body where it is."""
        while b"\r\n\r\n" not in self._rest:
            self._rest += self._receive()
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        return bytes(head + b"\r\n\r\n")

    def request(self) -> bytes:
        """Read a whole request."""
        asked = Asked(self.head(), b"", 0, self)
        length = int(asked.headers.get("content-length", "0"))
        while len(self._rest) < length:
            self._rest += self._receive()
        asked.body, self._rest, asked.at = bytes(self._rest[:length]), self._rest[length:], time.monotonic()
        self.asked = asked
        self.requests.append(asked.head + asked.body)
        return self.requests[-1]

    def send(self, *parts: bytes) -> None:
        """Send each part by itself."""
        for part in parts:
            self.asked.kept = part.endswith(b"0\r\n\r\n")
            self.socket.sendall(part)

    def send_last(self, part: bytes) -> None:
        """Send what ends an answer; a last chunk is known for that without a word."""
        self.asked.kept = True
        self.socket.sendall(part)

    def wait(self, seconds: float = SECONDS) -> bool:
        """Wait, and tell whether the other side has closed the connection meanwhile."""
        return self.closed.wait(seconds)

    def stop_reading(self, seconds: float) -> None:
        """Leave what comes where it is."""
        self.closed.wait(seconds)

    def close(self) -> None:
        """Send a FIN; what the other side does is still noted."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Send a RST, once the other side's kernel has all that was sent."""
        deadline = time.monotonic() + SECONDS
        while struct.unpack("i", fcntl.ioctl(self.socket, termios.TIOCOUTQ, b"\0" * 4))[0]:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.note_closed()
        self.socket.close()

    def pass_on(self, onward: socket.socket) -> None:
        """Be a tunnel to another socket until one side closes."""
        back = Thread(target=copy, args=(onward, self.socket))
        back.start()
        copy(self.socket, onward)
        back.join(SECONDS)

    def stop(self) -> None:
        """End the connection, and wake whatever waits for that."""
        self.note_closed()
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def note_closed(self) -> None:
        """Note that the connection is over, at the first time only."""
        if not self.closed.is_set():
            self.closed_at = time.monotonic()
            self.closed.set()

    def is_closed(self) -> bool:
        """Ask the kernel whether the other side is gone, or look whether this one is."""
        if self.socket.fileno() < 0:
            return True
        poll = select.poll()
        poll.register(self.socket, select.POLLRDHUP)
        return bool(poll.poll(0))

    def _receive(self) -> bytes:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the other side closed")
        return data


Script = Callable[[Peer], object]


def copy(source: socket.socket, target: socket.socket) -> None:
    """Pass on what comes, to its end."""
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
