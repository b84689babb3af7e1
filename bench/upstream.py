"""The benchmark's provider: cheap, so that it is never what is measured. `python -m bench.upstream PORT`.

It writes answers that are rendered beforehand, each event of a paced one in its own time, and counts what it sent:
`GET /` tells.
"""

import json
import re
import socket
import struct
import sys
from dataclasses import asdict, dataclass
from functools import partial
from time import monotonic

from bench import answers
from bench.answers import Spec
from bench.loop import READ, WRITE, Loop

_CLOSE = 1e-6
"""By how much of a step a time may be below it and still count as it."""
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends RST (socket(7))."""
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(slots=True)
class Sent:
    """What was sent since the start."""

    answers: int = 0
    events: int = 0
    broken: int = 0
    """Answers whose reader left before their end."""
    latest: float = 0
    """How late an event of a paced answer was written, at most, in seconds, since somebody asked."""


class Line:
    """One connection."""

    def __init__(self, loop: Loop, sock: socket.socket, sent: Sent) -> None:
        """Read requests from a socket."""
        self._loop, self._socket, self._sent = loop, sock, sent
        self._came = b""
        self._unsent = b""
        self._open = True
        self._answering = False
        sock.settimeout(0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop.watch(sock.fileno(), READ, self._ready)

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._write(b"")
        if events & ~WRITE and self._open:
            self._read()

    def _read(self) -> None:
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close()
            return
        self._came += data
        head, found, rest = self._came.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if found and len(rest) >= (size := int(length[1]) if length else 0):
            self._came = rest[size:]
            self._take(head, rest[:size])

    def _take(self, head: bytes, body: bytes) -> None:
        if not head.startswith(b"POST"):
            page = json.dumps(asdict(self._sent)).encode()
            self._sent.latest = 0
            self._write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(page), page))
            return
        spec = answers.find(body)
        self._answering = True
        self._sent.answers += 1
        self._play(spec, answers.writes(spec, usage=answers.counts_tokens(body)), 0, monotonic())

    def _play(self, spec: Spec, parts: tuple[bytes, ...], number: int, due: float) -> None:
        """Write a part and plan the next one by the plan, not by when this one was written."""
        if not self._open:
            return
        self._sent.latest = max(self._sent.latest, monotonic() - due)
        self._sent.events += 1 if spec.pace else spec.events
        last = number + 1 == len(parts)
        self._answering = not last
        self._write(parts[number])
        pace = spec.pace / 1000
        if not last:
            due = (int(due / pace + _CLOSE) + 1) * pace if spec.step else due + pace
            self._loop.at(due, partial(self._play, spec, parts, number + 1, due))
        elif spec.ending == "reset":
            self._loop.at(due + pace, self._reset)  # later, because a reset discards what its reader has not read

    def _write(self, data: bytes) -> None:
        waited, data = bool(self._unsent), self._unsent + data
        try:
            self._unsent = data[self._socket.send(data) :]
        except BlockingIOError:
            self._unsent = data
        except OSError:
            self._close()
            return
        if bool(self._unsent) != waited:
            self._loop.change(self._socket.fileno(), READ | WRITE if self._unsent else READ)

    def _reset(self) -> None:
        if self._open:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._close()

    def _close(self) -> None:
        if self._open:
            self._open = False
            self._sent.broken += self._answering or bool(self._unsent)
            self._loop.forget(self._socket.fileno())
            self._socket.close()


def main(port: int) -> None:
    """Serve until killed."""
    loop, sent = Loop(), Sent()
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    listener.settimeout(0)

    def accept(_events: int) -> None:
        Line(loop, listener.accept()[0], sent)

    loop.watch(listener.fileno(), READ, accept)
    loop.run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
