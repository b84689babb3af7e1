"""The process that becomes gunicorn's master: its signals until gunicorn handles them, its file descriptors."""

import os
import resource
import signal
from contextlib import suppress

_STDERR = 2


def prepare() -> None:
    """Prepare the process, before anything that takes time is imported."""
    _exit_when_told()
    _open_standard_streams()
    _raise_descriptor_limit()


def _exit_when_told() -> None:
    """Exit with status 0 on a signal while the application is loaded: the port is not open yet, so no client waits."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))


def _open_standard_streams() -> None:
    """Open the null device for each closed standard stream, before a client's socket gets its number."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        pass
    os.close(fd)


def _raise_descriptor_limit() -> None:
    """Raise the soft limit of open files to the hard limit: a chat takes two, and many systems begin with 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # "unlimited" is refused in some places
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
