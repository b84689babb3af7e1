"""Take a slot twice while no descriptor is left for the watch, and twice when some are; print how that went."""

import errno
import os
import socket
from resource import RLIMIT_NOFILE, getrlimit, setrlimit

from app.config import Settings
from app.streaming import Streams

here, there = socket.socketpair()
streams = Streams(Settings())


def sit() -> str:
    """Take a slot for a moment; return how that went, and how many are taken then."""
    said = "seated"
    try:
        with streams.slot({"gunicorn.socket": here, "wsgi.multithread": True}) as watch:
            watch.start()
    except OSError as error:
        said = errno.errorcode[error.errno or 0]
    return f"{said} {len(streams._running)}"  # noqa: SLF001 - there is no public question for it


few, most = getrlimit(RLIMIT_NOFILE)
setrlimit(RLIMIT_NOFILE, (64, most))
try:
    while True:
        os.dup(here.fileno())
except OSError:
    pass
without = [sit(), sit()]
setrlimit(RLIMIT_NOFILE, (few, most))
print(*without, sit(), sit(), sep="\n")
