"""The chats under way in this process: their slots, and the drain when the process has to end."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic, sleep
from typing import Any
from weakref import WeakSet

from ..config import Settings
from ..failure import Code, Failure
from .watch import Disconnects, Ending, Watch

_LAST_SECONDS = 3
"""How long the chats may take to tell their clients that the answer is not complete."""

_made: "WeakSet[Streams]" = WeakSet()


class Streams:
    """The chats under way of one application."""

    def __init__(self, settings: Settings) -> None:
        """Take the number of slots, and how long chats may go on when the process has to end."""
        self._most = settings.max_streams
        self._write_seconds = settings.write_timeout_seconds
        self.drain_seconds = settings.drain_seconds
        self._disconnects = Disconnects()
        self._ending = Ending()
        self._requests = 0
        self._running: dict[Watch, int] = {}
        self._lock = Lock()
        self.draining = False
        _made.add(self)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count a request until its record is written, also one that gets no slot: the drain waits for it."""
        with self._lock:
            self._requests += 1
        try:
            yield
        finally:
            with self._lock:
                self._requests -= 1

    @contextmanager
    def slot(self, environ: dict[str, Any]) -> Iterator[Watch]:
        """Hold a slot for one chat, and give its watch, not started yet. Raises `Failure` if all slots are taken."""
        watch = Watch(environ, self._disconnects, self._ending, self._write_seconds)
        with self._lock:
            self._refuse_when_full()
            self._running[watch] = id(environ.get("gunicorn.socket"))
        try:
            yield watch
        finally:
            del self._running[watch]
            watch.stop()

    def drain(self) -> None:
        """Refuse new chats."""
        self.draining = True

    def end(self) -> None:
        """End the running chats: each tells its client that the answer is not complete. May be called again."""
        self._ending.begin()
        for watch in list(self._running):
            watch.interrupt()

    def sockets(self) -> list[int]:
        """Return the ids of the sockets on which gunicorn serves the chats under way."""
        return list(self._running.values())

    @property
    def is_empty(self) -> bool:
        """Whether no chat is under way, and all records are written."""
        return not self._requests

    def _refuse_when_full(self) -> None:
        if self.draining:
            raise Failure(Code.DRAINING, "The service is restarting. Please try again in a few seconds.")
        if len(self._running) >= self._most:
            message = "The service is answering as many chats as it can. Please try again in a moment."
            raise Failure(Code.SHED, message)


def of_this_process() -> list[Streams]:
    """Return the streams of all applications in this process, so that the server can drain mounted ones, too."""
    return list(_made)


def sockets() -> set[int]:
    """Return the ids of the sockets on which gunicorn serves the chats under way."""
    return {number for streams in _made for number in streams.sockets()}


def drain() -> None:
    """Refuse new chats, wait for those under way, and end the ones that last longer than `drain_seconds`."""
    for streams in (running := of_this_process()):
        streams.drain()
    _wait_until_empty(running, max((streams.drain_seconds for streams in running), default=0))
    for streams in running:
        streams.end()
    _wait_until_empty(running, _LAST_SECONDS)


def _wait_until_empty(running: list[Streams], seconds: float) -> None:
    deadline = monotonic() + seconds
    while not all(streams.is_empty for streams in running) and monotonic() < deadline:
        sleep(0.05)
