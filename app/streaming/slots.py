"""The chats under way in this process: how many there may be, and how they end when the process must."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic, sleep
from typing import Any
from weakref import WeakSet

from ..config import Settings
from ..failure import Code, Failure
from .watch import Departures, Ending, Watch

_LAST_SECONDS = 3
"""How long the chats may take to tell their honest end."""

_made: "WeakSet[Streams]" = WeakSet()


class Streams:
    """The chats under way of one application."""

    def __init__(self, settings: Settings) -> None:
        """Take how many chats may be under way at once, and how long they may go on when the process must end."""
        self._most = settings.max_streams
        self._write_seconds = settings.write_timeout_seconds
        self.drain_seconds = settings.drain_seconds
        self._departures = Departures()
        self._ending = Ending()
        self._requests = 0
        self._running: dict[Watch, int] = {}
        self._lock = Lock()
        self.draining = False
        _made.add(self)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count one chat as under way, with a slot or without; put around its record, until that is written."""
        with self._lock:
            self._requests += 1
        try:
            yield
        finally:
            with self._lock:
                self._requests -= 1

    @contextmanager
    def slot(self, environ: dict[str, Any]) -> Iterator[Watch]:
        """Take a slot for one chat, with a watch to start. Raises `Failure` when there is none."""
        watch = Watch(environ, self._departures, self._ending, self._write_seconds)
        with self._lock:
            self._refuse_when_full()
            self._running[watch] = id(environ.get("gunicorn.socket"))
        try:
            yield watch
        finally:
            del self._running[watch]
            watch.stop()

    def drain(self) -> None:
        """Take no more chats."""
        self.draining = True

    def end(self) -> None:
        """End the chats that still run, each with its honest end; may be called again for chats that began since."""
        self._ending.begin()
        for watch in list(self._running):
            watch.interrupt()

    def sockets(self) -> list[int]:
        """Return the ids of the sockets on which gunicorn serves the chats under way."""
        return list(self._running.values())

    @property
    def is_empty(self) -> bool:
        """Whether no chat is under way, and the record of each that was is written."""
        return not self._requests

    def _refuse_when_full(self) -> None:
        if self.draining:
            raise Failure(Code.DRAINING, "The service is restarting. Please try again in a few seconds.")
        if len(self._running) >= self._most:
            message = "The service is answering as many chats as it can. Please try again in a moment."
            raise Failure(Code.SHED, message)


def of_this_process() -> list[Streams]:
    """Return those of every application here, for the server to drain, whatever stands around an application."""
    return list(_made)


def sockets() -> set[int]:
    """Return the ids of the sockets on which gunicorn serves the chats under way."""
    return {number for streams in _made for number in streams.sockets()}


def drain() -> None:
    """Take no more chats and return when those under way are over; those that last too long get their honest end."""
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
