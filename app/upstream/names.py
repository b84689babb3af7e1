"""The addresses of a host name. A name that takes long to look up holds up nobody who asks for another.

The system's resolver knows no deadline: who asks gives up in time, and the look-up goes on in its thread. Until it
ends, it counts as its user's, and whoever asks for the same name waits for the same look-up.
"""

import select
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from io import FileIO
from threading import Lock, Thread
from typing import Any

from ..failure import Code, Failure
from ..wait import Wait

MAX_LOOKUPS = 32
"""How many names of users' endpoints are looked up at once."""
MAX_LOOKUPS_PER_USER = 2
"""How many of one user's. One is enough for all of a user's chats, until another endpoint is chosen."""

Address = tuple[socket.AddressFamily, Any]
Key = tuple[str | None, str, int]
Start = Callable[[Callable[[], None]], object]
Find = Callable[[str, int], list[Any]]


def start_thread(do: Callable[[], None]) -> None:
    """Do something beside what goes on here."""
    Thread(target=do, daemon=True).start()


def find(host: str, port: int) -> list[Any]:
    """Look a name up, and wait for it."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class Names:
    """The look-ups under way.

    A look-up's thread takes no lock, and does nothing but what is atomic in Python: it may be a native one where all
    others here are greenlets, which could not wait for each other.
    """

    def __init__(self, start: Start = start_thread, find: Find = find) -> None:
        """Take how to start a thread, and how to look a name up there."""
        self._start = start
        self._find = find
        self._running: dict[Key, _Lookup] = {}
        self._lock = Lock()

    def addresses(self, host: str, port: int, deadline: float, wait: Wait, user: str | None = None) -> list[Address]:
        """Look a name up for a user who chose it, or for the operator (None), who chooses few.

        Raises `TimeoutError` at the deadline, `socket.gaierror` when there are none, and `Failure` when too many of the
        user's look-ups, or of all users', have not ended.
        """
        lookup = self._join((user, host, port))
        lookup.wait(deadline, wait)
        if lookup.error:
            raise socket.gaierror(lookup.error)
        return [(family, where) for family, _, _, _, where in lookup.found]

    def _join(self, key: Key) -> "_Lookup":
        """Return the look-up of a name that is under way, or a new one."""
        with self._lock:
            if (running := self._running.get(key)) is not None:
                return running
            if key[0] is not None:
                self._refuse_more(key[0])
            lookup = self._running[key] = _Lookup()
            try:
                self._start(partial(self._run, key, lookup))
            except RuntimeError as error:
                del self._running[key]
                raise OSError("no thread could be started") from error
            return lookup

    def _refuse_more(self, user: str) -> None:
        users = [key[0] for key in list(self._running) if key[0] is not None]
        if users.count(user) >= MAX_LOOKUPS_PER_USER:
            message = "Your endpoint's host name is still being looked up. Please check it in your profile settings."
            raise Failure(Code.RATE_LIMITED, message, {"Retry-After": "10"})
        if len(users) >= MAX_LOOKUPS:
            message = "Too many host names are being looked up. Please try again in a moment."
            raise Failure(Code.SHED, message, {"Retry-After": "5"})

    def _run(self, key: Key, lookup: "_Lookup") -> None:
        try:
            lookup.found = self._find(key[1], key[2])
        except Exception as error:  # noqa: BLE001 - told to all who asked
            lookup.error = str(error) or type(error).__name__
        finally:
            self._running.pop(key, None)
            lookup.end()


class _Lookup:
    """One look-up, and all who wait for it: each on a socket of their own, whose other end closes when it is over."""

    def __init__(self) -> None:
        self.found: list[Any] = []
        self.error = ""
        self._ended = False
        self._ends: deque[FileIO] = deque()

    def wait(self, deadline: float, wait: Wait) -> None:
        """Wait for the end. Raises what a `Wait` raises."""
        here, there = socket.socketpair()
        with here, FileIO(there.detach(), "w") as end:
            self._ends.append(end)
            if self._ended:  # perhaps before it saw this one
                return
            try:
                wait(here, select.POLLIN, deadline)
            finally:
                with suppress(ValueError):
                    self._ends.remove(end)

    def end(self) -> None:
        """Wake all who wait. A `FileIO` closes at once and in any thread, where gevent's sockets would need a loop."""
        self._ended = True
        with suppress(IndexError):
            while True:
                self._ends.pop().close()
