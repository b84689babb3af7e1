"""A bare event loop: file descriptors, and timers finer than a millisecond."""

import heapq
import select
from collections.abc import Callable
from itertools import count
from time import monotonic

READ, WRITE = select.EPOLLIN, select.EPOLLOUT

Handler = Callable[[int], None]
"""What is called with the events that epoll saw."""


class Loop:
    """Calls handlers and timers until it is stopped."""

    def __init__(self) -> None:
        """Make the epoll, early, because `select` takes no descriptor above 1023."""
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._number = count()
        self._running = False

    def watch(self, descriptor: int, events: int, handler: Handler) -> None:
        """Call a handler when one of the events is there."""
        self._handlers[descriptor] = handler
        self._epoll.register(descriptor, events)

    def change(self, descriptor: int, events: int) -> None:
        """Watch a descriptor for other events."""
        self._epoll.modify(descriptor, events)

    def forget(self, descriptor: int) -> None:
        """Watch a descriptor no more; to be called before it is closed."""
        del self._handlers[descriptor]
        self._epoll.unregister(descriptor)

    def at(self, due: float, call: Callable[[], None]) -> None:
        """Call something at a time of the monotonic clock."""
        heapq.heappush(self._timers, (due, next(self._number), call))

    def run(self) -> None:
        """Run until `stop`."""
        self._running = True
        while self._run_timers():
            wait = self._timers[0][0] - monotonic() if self._timers else None
            # epoll waits for whole milliseconds, select for microseconds; an epoll is readable when it has events.
            if select.select([self._epoll], [], [], wait if wait is None or wait > 0 else 0)[0]:
                for descriptor, events in self._epoll.poll(0):
                    if handler := self._handlers.get(descriptor):
                        handler(events)

    def stop(self) -> None:
        """End `run` after the calls of this turn."""
        self._running = False

    def close(self) -> None:
        """Let go of the epoll."""
        self._epoll.close()

    def _run_timers(self) -> bool:
        """Call what is due; tell whether to go on."""
        now = monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()
        return self._running
