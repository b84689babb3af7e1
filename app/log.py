"""A non-blocking stream for log lines: if its reader is too slow, lines are dropped, and nothing else waits."""

import atexit
import os
import select
import sys
from contextlib import suppress
from time import monotonic
from typing import Any

from gevent.monkey import get_original

MAX_BYTES = 1024 * 1024
"""How many characters may wait to be written to one stream."""
PAUSE_SECONDS = 0.05
"""How long the writer sleeps after its queue is empty: waking it for each line would cost more than the line."""
EXIT_SECONDS = 1.0
"""How long the end of the process waits until the last lines are written."""

_allocate_lock = get_original("_thread", "allocate_lock")
_start_thread = get_original("_thread", "start_new_thread")
_Queue = get_original("queue", "SimpleQueue")
_sleep = get_original("time", "sleep")
_poll = get_original("select", "poll")


class LogStream:
    """A stream for `logging.StreamHandler`, in place of `sys.stdout` or `sys.stderr`.

    If the stream is closed, or its reader has gone, lines are dropped without notice.
    """

    def __init__(self, name: str, lost: str = "%d lines of the log were lost: nobody took them.") -> None:
        """Take the stream's name in `sys`, and the line that reports how many lines (`%d`) were dropped."""
        self._name = name
        self.lost = lost

    def write(self, text: str) -> None:
        """Queue one or more whole lines."""
        _writer(self._name).put(self, text)

    def flush(self) -> None:
        """Do nothing: a handler calls this after each line."""

    def write_through(self, text: str) -> None:
        """Write the text, however long it takes."""
        with suppress(OSError, ValueError, AttributeError):  # the reader has gone, or the stream is closed, or None
            stream = getattr(sys, self._name)
            if (fd := _descriptor(stream)) is None:
                stream.write(text)
                stream.flush()
                return
            data = text.encode(errors="backslashreplace")
            while data:
                data = data[_write(fd, data) :]


class _Writer:
    """Writes the queued lines of one standard stream, in their order, in a thread of its own.

    It is a native thread also under gevent, because a write to a full pipe blocks its thread.
    """

    def __init__(self) -> None:
        self._lock = _allocate_lock()
        self._queue: Any = _Queue()
        self._waiting = 0
        self._lost: dict[LogStream, int] = {}
        self._has_started = False

    def put(self, stream: LogStream, text: str) -> None:
        """Queue some lines, or drop and count them if the queue is full."""
        with self._lock:
            if self._waiting > MAX_BYTES:
                self._lost[stream] = self._lost.get(stream, 0) + text.count("\n")
                return
            self._report_lost()
            self._add(stream, text)
            self._start()

    def flush(self, deadline: float) -> None:
        """Wait until all lines are written, at most until the deadline."""
        while self._waiting and monotonic() < deadline:
            _sleep(0.005)

    def _start(self) -> None:
        """Start the thread; if the system cannot start one, the next line tries again."""
        if not self._has_started:
            with suppress(RuntimeError):
                _start_thread(self._run, ())
                self._has_started = True

    def _add(self, stream: LogStream, text: str) -> None:
        self._waiting += len(text)
        self._queue.put((stream, text))

    def _report_lost(self) -> None:
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
        """Write a line with one call, so that other writers of the pipe cannot write in the middle of it."""
        stream.write_through(text)
        with self._lock:
            self._waiting -= len(text)
            if not self._waiting:
                self._report_lost()


_writers: dict[tuple[int, str], _Writer] = {}
"""By process id and stream name: after a fork, the parent writes its own lines, and the child starts its own thread.
There is no hook at the fork itself, because uWSGI forks without Python."""


def flush(seconds: float) -> None:
    """Wait until all lines of this process are written, for at most so many seconds."""
    deadline = monotonic() + seconds
    for (pid, _), writer in list(_writers.items()):
        if pid == os.getpid():
            writer.flush(deadline)


def _writer(name: str) -> _Writer:
    own = os.getpid(), name
    return _writers.get(own) or _writers.setdefault(own, _Writer())


def _descriptor(stream: Any) -> int | None:  # noqa: ANN401 - whatever somebody has put there
    """Return the descriptor of a stream, or None, as in mod_wsgi, or while a test captures the output."""
    try:
        return int(stream.fileno())
    except (OSError, ValueError):
        return None


def _write(fd: int, data: bytes) -> int:
    """Write once, also if the descriptor is non-blocking."""
    try:
        return os.write(fd, data)
    except BlockingIOError:
        writable = _poll()
        writable.register(fd, select.POLLOUT)
        writable.poll()
        return 0


atexit.register(flush, EXIT_SECONDS)
