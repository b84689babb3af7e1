"""DNS look-ups in threads, one for each name (single flight), so that a slow name does not hold up the others.

The system's resolver has no deadline: the caller gives up in time, and the look-up goes on in its thread. Until it
ends, it counts against its user's limit, and further callers for the same name wait for the same look-up.
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
"""How many look-ups of users' endpoints may run at once."""
MAX_LOOKUPS_PER_USER = 2
"""How many of them for one user. One serves all chats of a user, until another endpoint is chosen."""

Address = tuple[socket.AddressFamily, Any]
Key = tuple[str | None, str, int]
Start = Callable[[Callable[[], None]], object]
Find = Callable[[str, int], list[Any]]


def start_thread(do: Callable[[], None]) -> None:
    """Run a function in a daemon thread."""
    Thread(target=do, daemon=True).start()


def find(host: str, port: int) -> list[Any]:
    """Look a name up; this blocks the thread."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class Names:
    """The look-ups under way.

    The thread of a look-up takes no lock and uses atomic operations only: it may be a native thread while all others
    are greenlets, and these cannot wait for each other's locks.
    """

    def __init__(self, start: Start = start_thread, find: Find = find) -> None:
        """Take the function that starts a thread, and the one that looks a name up in it."""
        self._start = start
        self._find = find
        self._running: dict[Key, _Lookup] = {}
        self._lock = Lock()

    def addresses(self, host: str, port: int, deadline: float, wait: Wait, user: str | None = None) -> list[Address]:
        """Look a name up for the user who chose it, or for the operator (None), who has no limit.

        Raises `TimeoutError` at the deadline, `socket.gaierror` if the name has no address, and `Failure` while too
        many look-ups of the user, or of all users, are running.
        """
        lookup = self._join((user, host, port))
        lookup.wait(deadline, wait)
        if lookup.error:
            raise socket.gaierror(lookup.error)
        return [(family, where) for family, _, _, _, where in lookup.found]

    def _join(self, key: Key) -> "_Lookup":
        """Return the running look-up of a name, or start one."""
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
        except Exception as error:  # noqa: BLE001 - raised in every caller that waits
            lookup.error = str(error) or type(error).__name__
        finally:
            self._running.pop(key, None)
            lookup.end()


class _Lookup:
    """One look-up. Each caller waits on a socket pair of its own, whose other end is closed when the look-up ends."""

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
            if self._ended:  # perhaps before `end` saw this one
                return
            try:
                wait(here, select.POLLIN, deadline)
            finally:
                with suppress(ValueError):
                    self._ends.remove(end)

    def end(self) -> None:
        """Wake all callers. A `FileIO` can be closed in any thread; gevent's sockets would need an event loop."""
        self._ended = True
        with suppress(IndexError):
            while True:
                self._ends.pop().close()
