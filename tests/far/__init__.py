"""The scripted provider: a listener on loopback that sends the bytes that a test tells it to, when it is told to.

It is scripted in one of two ways. `play` takes a script for each connection: the script reads the requests itself, and
the connection is closed at its end. `script` takes scripts for a model, one for each request: it has been read by then,
and the connection stays open for the next one. Every request is kept, and when the other side closed each connection.
"""

import json
import select
import socket
import ssl
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Self

from tests.far.peer import SECONDS, Asked, Peer, Script
from tests.processes import wait_for

__all__ = ["SECONDS", "Asked", "Far", "Peer", "Script"]

_CLOSED = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR


class Far:
    """Plays a script for each connection, or for each request by its model, and keeps what it was asked."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = int(self._listener.getsockname()[1])
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/v1"
        self._connections: tuple[Script, ...] | None = None
        self._models: dict[str, tuple[Script, ...]] = {}
        self._asked: list[Asked] = []
        self._open: dict[int, Peer] = {}
        self._lock = Lock()
        self._epoll = select.epoll()
        self._threads: list[Thread] = []
        self.errors: list[BaseException] = []
        self.peers: list[Peer] = []

    def play(self, *scripts: Script) -> Self:
        """Take one script for each connection, the first one first; more connections than scripts are a failure."""
        self._connections = scripts
        return self

    def script(self, model: str, *scripts: Script) -> str:
        """Play this for a model: one script for each request in turn, the last one for all that follow."""
        assert model not in self._models, f"{model} is used twice"
        self._models[model] = scripts
        return model

    def requests(self) -> list[bytes]:
        """Return the bytes of every request, over whichever connection."""
        return [request for peer in self.peers for request in peer.requests]

    def asked(self, model: str) -> list[Asked]:
        """Return every request for a model, the newest last."""
        with self._lock:
            return [asked for asked in self._asked if asked.model == model]

    def all_asked(self) -> list[Asked]:
        """Return every request for any model."""
        with self._lock:
            return list(self._asked)

    @property
    def connections(self) -> int:
        """Return how many connections there have been."""
        return len(self.peers)

    @property
    def closed(self) -> list[Event]:
        """Return, for each connection, what is set when it is over."""
        return [peer.closed for peer in self.peers]

    def wait_closed(self, number: int = 0) -> None:
        """Wait until a connection, which may not even be accepted yet, is over."""
        wait_for(lambda: len(self.peers) > number and self.peers[number].closed.is_set())

    def hang_up(self) -> None:
        """End the connections that are kept for a next request, so that it comes over a new one."""
        with self._lock:
            for peer in self._open.values():
                peer.close()

    def __enter__(self) -> Self:
        self._epoll.register(self._listener, select.EPOLLIN)
        self._threads.append(Thread(target=self._watch, daemon=True))
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # which ends the first thread
        self._threads[0].join(SECONDS)
        for peer in self.peers:
            peer.stop()
        for thread in self._threads:
            thread.join(SECONDS)
        self._listener.close()
        self._epoll.close()
        assert not self.errors, self.errors

    def _watch(self) -> None:
        """Accept, and note when the other side closes a connection, whether or not its script reads."""
        while True:
            for number, what in self._epoll.poll():
                if number != self._listener.fileno():
                    self._note(number)
                elif what & select.EPOLLHUP:
                    return
                else:
                    self._accept()

    def _accept(self) -> None:
        sock, _ = self._listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else a close may lose what it follows
        peer = Peer(sock)
        self.peers.append(peer)
        with self._lock:
            self._open[sock.fileno()] = peer
            self._epoll.register(sock, _CLOSED)
        self._threads.append(
            Thread(target=self._serve, args=(peer, sock.fileno(), len(self._threads) - 1), daemon=True)
        )
        self._threads[-1].start()

    def _note(self, number: int) -> None:
        with self._lock:
            peer = self._open.get(number)
            if peer is not None and peer.is_closed():  # the number may be another's by now
                peer.note_closed()
                self._forget(number, peer)

    def _serve(self, peer: Peer, number: int, turn: int) -> None:
        """Play a connection's script; another side that leaves early is no failure."""
        try:
            if self._tls:
                peer.socket = self._tls.wrap_socket(peer.socket, server_side=True, do_handshake_on_connect=False)
                peer.socket.do_handshake()
            script = self._by_model if self._connections is None else self._connections[turn]
            script(peer)
        except OSError:
            pass
        except BaseException as error:  # noqa: BLE001 - kept for the test to see
            self.errors.append(error)
        finally:
            with self._lock:
                peer.note_closed()
                self._forget(number, peer)
                peer.socket.close()

    def _by_model(self, peer: Peer) -> None:
        """Play the scripts of a connection's requests, one after the other."""
        while True:
            peer.request()
            asked = peer.asked
            asked.model = str(json.loads(asked.body)["model"])
            with self._lock:
                self._asked.append(asked)
                turn = sum(one.model == asked.model for one in self._asked) - 1
            scripts = self._models[asked.model]
            scripts[min(turn, len(scripts) - 1)](peer)

    def _forget(self, number: int, peer: Peer) -> None:
        """Watch a connection no longer; its number will be another's."""
        if self._open.get(number) is peer:
            del self._open[number]
            with suppress(OSError):  # a script has closed it
                self._epoll.unregister(number)
