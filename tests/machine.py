"""How much slower this machine is at the moment than a quiet one: what a bound of time is multiplied by.

A process of its own does the same small piece of work again and again, and writes down when, and how long that took.
Where the processor is slow, or busy with other things, that takes longer, as everything else does. Run as a program,
this file is that process; it ends with its standard input.
"""

import atexit
import mmap
import select
import struct
import subprocess
import sys
import tempfile
import time
from functools import cache

WORK, QUIET_SECONDS = 350_000, 0.005
"""The piece of work, and what it takes on the machine that the bounds were written on, if nothing else runs."""
PAUSE_SECONDS = 0.12
WINDOW_SECONDS = 10
"""For how long something that has held up the machine is remembered: what it has delayed is judged by then."""

_SAMPLE = struct.Struct("dd")
_KEPT = 1024


def slack() -> float:
    """Return how many times slower than a quiet machine this one was in the last seconds, at worst; at least 1."""
    since = time.monotonic() - WINDOW_SECONDS
    recent = [took for at, took in _SAMPLE.iter_unpack(_samples()) if at > since]
    return max([1.0, *(float(took) / QUIET_SECONDS for took in recent)])


@cache
def _samples() -> mmap.mmap:
    """Start the process, and return what it writes its samples to; the first is there."""
    with tempfile.TemporaryFile() as file:
        file.truncate(_SAMPLE.size * _KEPT)
        number = file.fileno()
        command = [sys.executable, "-IS", __file__, str(number)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[number])
        atexit.register(process.communicate)
        assert process.stdout
        process.stdout.readline()
        return mmap.mmap(number, 0)


def main(samples: mmap.mmap) -> None:
    count = 0
    while True:
        started = time.monotonic()
        sum(range(WORK))
        ended = time.monotonic()
        _SAMPLE.pack_into(samples, count % _KEPT * _SAMPLE.size, ended, ended - started)
        if not count:
            sys.stdout.write("begun\n")
            sys.stdout.flush()
        count += 1
        if select.select([sys.stdin], [], [], PAUSE_SECONDS)[0]:
            break


if __name__ == "__main__":
    main(mmap.mmap(int(sys.argv[1]), 0))
