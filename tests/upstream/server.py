"""A provider on loopback that sends exactly the bytes that it is told to, when it is told to."""

import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Self

from tests.processes import wait_for

SECONDS = 10
"""How long anything may take before a script gives up."""

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
"""The head of a streamed answer, but for how its body ends."""


class Peer:
    """One accepted connection, as a script sees it."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(SECONDS)
        self._socket = sock
        self._rest = bytearray()
        self.released = Event()
        self.requests: list[bytes] = []

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
        head = self.head()
        length = int(_headers(head).get("content-length", "0"))
        while len(self._rest) < length:
            self._rest += self._receive()
        body, self._rest = bytes(self._rest[:length]), self._rest[length:]
        self.requests.append(head + body)
        return self.requests[-1]

    def send(self, *parts: bytes) -> None:
        """Send each part by itself."""
        for part in parts:
            self._socket.sendall(part)

    def reset(self) -> None:
        """Close with a reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close(self) -> None:
        self._socket.close()

    def wait(self) -> None:
        """Wait until the other side has closed."""
        with suppress(ConnectionError):
            while self._socket.recv(65536):
                pass

    def pass_on(self, onward: socket.socket) -> None:
        """Be a tunnel to another socket until one side closes."""
        back = Thread(target=copy, args=(onward, self._socket))
        back.start()
        copy(self._socket, onward)
        back.join(SECONDS)

    def stop_reading(self, seconds: float) -> None:
        """Leave what comes where it is."""
        self.released.wait(seconds)

    def stop(self) -> None:
        """Wake whatever waits for this connection."""
        self.released.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _receive(self) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the client closed in the middle of a request")
        return data


def copy(source: socket.socket, target: socket.socket) -> None:
    """Pass on what comes, to its end."""
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


Script = Callable[[Peer], None]


class Server:
    """Plays one script for each connection, in their order, and counts them."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._scripts: list[Script] = []
        self._threads: list[Thread] = []
        self._errors: list[BaseException] = []
        self.peers: list[Peer] = []
        self.closed: list[Event] = []

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/v1"

    def play(self, *scripts: Script) -> Self:
        """Take one script for each connection to come; more connections than scripts are a failure."""
        self._scripts = list(scripts)
        return self

    def requests(self) -> list[bytes]:
        """Return every request received, over whichever connection."""
        return [request for peer in self.peers for request in peer.requests]

    def wait_closed(self, number: int = 0) -> None:
        """Wait until a connection, which may not even be accepted yet, is over."""
        wait_for(lambda: len(self.closed) > number and self.closed[number].is_set())

    def __enter__(self) -> Self:
        self._threads.append(Thread(target=self._accept))
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(SECONDS)
        self._listener.close()
        for peer in self.peers:
            peer.stop()
        for thread in self._threads:
            thread.join(2 * SECONDS)
        assert not self._errors, self._errors

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else a close may lose what it follows
                self._threads.append(Thread(target=self._serve, args=(sock, len(self.closed))))
                self.closed.append(Event())
                self._threads[-1].start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        """Play a connection's script; a client that leaves early is no failure."""
        with sock:
            try:
                script = self._scripts[number]
                with self._tls.wrap_socket(sock, server_side=True) if self._tls else sock as secured:
                    self.peers.append(Peer(secured))
                    script(self.peers[-1])
            except OSError:
                pass
            except BaseException as error:  # noqa: BLE001 - kept for the test to see
                self._errors.append(error)
            finally:
                self.closed[number].set()


@contextmanager
def full_listener() -> Iterator[int]:
    """Listen on a port whose queue of connections is full, so that the next one is left without an answer."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.settimeout(0)
            sock.connect_ex(listener.getsockname())
        try:
            yield listener.getsockname()[1]
        finally:
            for sock in waiting:
                sock.close()


def answering(*parts: bytes) -> Script:
    """Make a script that reads one request, sends these parts, and closes."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(*parts)

    return script


def holding(*parts: bytes) -> Script:
    """Make a script that reads one request, sends these parts, and waits for the other side to close."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(*parts)
        peer.wait()

    return script


def forwarding(target: int, status: bytes = b"200 OK") -> Script:
    """Make a script of a proxy that takes a CONNECT and then passes on every byte."""

    def script(peer: Peer) -> None:
        peer.requests.append(peer.head())
        with socket.create_connection(("127.0.0.1", target)) as onward:
            peer.send(b"HTTP/1.1 %b\r\nVia: test\r\n\r\n" % status)
            peer.pass_on(onward)

    return script


def whole(body: bytes, head: bytes = EVENTS) -> bytes:
    """Write a response whose length is announced."""
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(*bodies: bytes, head: bytes = EVENTS) -> bytes:
    """Write a response in chunks, without the last one."""
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(b"%x\r\n%b\r\n" % (len(b), b) for b in bodies)


LAST = b"0\r\n\r\n"
"""The end of a chunked response."""


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
