"""The slots of the chats under way."""

import subprocess
import sys

from tests.processes import ROOT, environment_without

FULL = """
from gevent import monkey; monkey.patch_all()
import errno, os, socket
from resource import RLIMIT_NOFILE, getrlimit, setrlimit
from app.config import Settings
from app.streaming import Streams

here, there = socket.socketpair()
streams = Streams(Settings())

def sit():
    try:
        with streams.slot({"gunicorn.socket": here, "wsgi.multithread": True}) as watch:
            watch.start()
            return "seated"
    except BaseException as error:
        return errno.errorcode.get(getattr(error, "errno", None), repr(error))

few, most = getrlimit(RLIMIT_NOFILE)
setrlimit(RLIMIT_NOFILE, (64, most))
try:
    while True:
        os.dup(here.fileno())
except OSError:
    pass
for _ in range(2):
    print(sit(), len(streams._running))
setrlimit(RLIMIT_NOFILE, (few, most))
for _ in range(2):
    print(sit(), len(streams._running))
"""


def test_a_chat_that_cannot_be_watched_gives_its_slot_back() -> None:
    """No descriptor is left for the watch: a slot lost each time would soon leave none, though some come back."""
    command = [sys.executable, "-c", FULL]
    done = subprocess.run(
        command, cwd=ROOT, env=environment_without({}), check=True, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.splitlines() == ["EMFILE 0", "EMFILE 0", "seated 0", "seated 0"]
    assert done.stderr == ""
