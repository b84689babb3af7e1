"""Work beside the requests: a daemon thread that runs only while there is something to do."""

import os
from collections.abc import Callable
from threading import Lock, Thread


class Background:
    """Does one piece of work in a thread of its own, whenever `wake` says that there is some.

    | the thread          | what `wake` does                                                              |
    |---------------------|-------------------------------------------------------------------------------|
    | is not running      | starts it                                                                     |
    | does the work       | has the work done once more afterwards, so that nothing new is overlooked     |
    | was not to be had   | tries again: the system may have threads again                                |
    | ended by an error   | starts another; the error was reported as that of any thread                  |
    | is in the parent    | starts one here: a forked process has no thread but the one that forked       |
    """

    def __init__(self, work: Callable[[], object]) -> None:
        """Take the work; nothing is started yet. The work may go on for as long as it finds something to do."""
        self._work = work
        self._pid = os.getpid()
        self._lock = Lock()
        self._is_running = self._is_due = False

    @property
    def is_running(self) -> bool:
        """Whether this process has the thread."""
        return self._is_running and self._pid == os.getpid()

    def wake(self) -> bool:
        """Have the work done, and do not wait for it. Return False where no thread could be started."""
        if self._pid != os.getpid():
            self._pid, self._lock, self._is_running = os.getpid(), Lock(), False
        with self._lock:
            is_running = self._is_running
            self._is_running = self._is_due = True
        if not is_running:
            try:
                Thread(target=self._run, daemon=True).start()
            except RuntimeError:
                self._is_running = False
                return False
        return True

    def _run(self) -> None:
        is_done = False
        try:
            while self._is_needed():
                self._work()
            is_done = True
        finally:
            if not is_done:  # else another thread may be running already
                self._is_running = False

    def _is_needed(self) -> bool:
        """Tell whether the work is to be done; if not, the thread counts as ended from here on."""
        with self._lock:
            self._is_running, self._is_due = self._is_due, False
            return self._is_running
