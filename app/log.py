"""A stream for log lines that never waits: who takes the log too slowly loses lines, and holds nobody up."""

import atexit
import os
import select
import sys
from contextlib import suppress
from time import monotonic
from typing import Any

from gevent.monkey import get_original

MAX_BYTES = 1024 * 1024
"""How many characters may wait to be written on one stream."""
PAUSE_SECONDS = 0.05
"""How long the writer then sleeps: to wake it for each line would cost a chat more than the line does."""
EXIT_SECONDS = 1.0
"""How long the end of the process waits for somebody to take what is left."""

_allocate_lock = get_original("_thread", "allocate_lock")
_start_thread = get_original("_thread", "start_new_thread")
_Queue = get_original("queue", "SimpleQueue")
_sleep = get_original("time", "sleep")
_poll = get_original("select", "poll")


class LogStream:
    """What a `logging.StreamHandler` writes to in place of `sys.stdout` or `sys.stderr`.

    What nobody takes, because the stream is closed or its reader has gone, is dropped in silence.
    """

    def __init__(self, name: str, lost: str = "%d lines of the log were lost: nobody took them.") -> None:
        """Take the stream's name in `sys`, and the line that tells how many lines were lost, `%d` of them."""
        self._name = name
        self.lost = lost

    def write(self, text: str) -> None:
        """Take a whole line, or several."""
        _writer(self._name).put(self, text)

    def flush(self) -> None:
        """Do nothing, because a handler asks for it after each line."""

    def put_through(self, text: str) -> None:
        """Write, and wait for as long as it takes."""
        with suppress(OSError, ValueError, AttributeError):  # its reader has gone, it is closed, or it is None
            stream = getattr(sys, self._name)
            if (fd := _descriptor(stream)) is None:
                stream.write(text)
                stream.flush()
                return
            data = text.encode(errors="backslashreplace")
            while data:
                data = data[_write(fd, data) :]


class _Writer:
    """Writes what one of the standard streams was given, in that order, in a thread of its own.

    It is the system's thread also where gevent makes greenlets of threads, because a full pipe blocks who writes to it.
    """

    def __init__(self) -> None:
        self._lock = _allocate_lock()
        self._queue: Any = _Queue()
        self._waiting = 0
        self._lost: dict[LogStream, int] = {}
        self._has_started = False

    def put(self, stream: LogStream, text: str) -> None:
        """Take something to be written, or drop it and count it."""
        with self._lock:
            if self._waiting > MAX_BYTES:
                self._lost[stream] = self._lost.get(stream, 0) + text.count("\n")
                return
            self._tell_lost()
            self._add(stream, text)
            self._start()

    def flush(self, deadline: float) -> None:
        """Wait until all is written, or until then."""
        while self._waiting and monotonic() < deadline:
            _sleep(0.005)

    def _start(self) -> None:
        """Start the thread; where the system has none to give, the next line tries again."""
        if not self._has_started:
            with suppress(RuntimeError):
                _start_thread(self._run, ())
                self._has_started = True

    def _add(self, stream: LogStream, text: str) -> None:
        self._waiting += len(text)
        self._queue.put((stream, text))

    def _tell_lost(self) -> None:
        for stream, number in self._lost.items():
            self._add(stream, stream.lost % number + "\n")
        self._lost.clear()

    def _run(self) -> None:
        while True:
            self._write(*self._queue.get())
            while not self._queue.empty():
                self._write(*self._queue.get())
            _sleep(PAUSE_SECONDS)

    def _write(self, stream: LogStream, text: str) -> None:
        """Write one line at once, because a pipe keeps other writers out of it then."""
        stream.put_through(text)
        with self._lock:
            self._waiting -= len(text)
            if not self._waiting:
                self._tell_lost()


_writers: dict[tuple[int, str], _Writer] = {}
"""Each process's own, by its id and the stream's name: after a fork, the parent writes what the parent was given, and
its thread is not in the child. Nothing is done at the fork itself, of which uWSGI tells Python nothing."""


def flush(seconds: float) -> None:
    """Wait until all lines of this process are written, but no longer than that."""
    deadline = monotonic() + seconds
    for (pid, _), writer in list(_writers.items()):
        if pid == os.getpid():
            writer.flush(deadline)


def _writer(name: str) -> _Writer:
    own = os.getpid(), name
    return _writers.get(own) or _writers.setdefault(own, _Writer())


def _descriptor(stream: Any) -> int | None:  # noqa: ANN401 - whatever somebody has put there
    """Return the descriptor behind a stream; there is none in mod_wsgi, or while a test captures what is written."""
    try:
        return int(stream.fileno())
    except (OSError, ValueError):
        return None


def _write(fd: int, data: bytes) -> int:
    """Write once, also where somebody made the descriptor non-blocking."""
    try:
        return os.write(fd, data)
    except BlockingIOError:
        writable = _poll()
        writable.register(fd, select.POLLOUT)
        writable.poll()
        return 0


atexit.register(flush, EXIT_SECONDS)
