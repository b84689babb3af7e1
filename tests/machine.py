"""How much slower this machine is at the moment than a quiet one: what a bound of time is multiplied by.

A process of its own does the same small piece of work again and again, and writes down when, how long that took, and
how many others wanted a processor. Where it is slow, that takes longer, as everything else does; where it is busy, so
small a piece is soon done, but a larger one gets its share only. Run as a program, this file is that process; it ends
with its standard input.
"""

import atexit
import mmap
import os
import select
import struct
import subprocess
import sys
import tempfile
import time
from functools import cache

WORK, QUIET_SECONDS = 350_000, 0.005
"""The piece of work, and what it takes on the machine that the bounds were written on, if nothing else runs."""
PAUSE_SECONDS = 0.3
WINDOW_SECONDS = 10
"""For how long something that has held up the machine is remembered: what it has delayed is judged by then."""

_SAMPLE = struct.Struct("ddd")
_KEPT = 1024


def slack() -> float:
    """Return how many times slower than a quiet machine this one was in the last seconds, at worst; at least 1."""
    since = time.monotonic() - WINDOW_SECONDS
    recent = [sample for sample in _SAMPLE.iter_unpack(_samples()) if sample[0] > since] or [(0.0, 0.0, 0.0)]
    slower: float = max(took for _, took, _ in recent) / QUIET_SECONDS
    busier: float = sum(running for _, _, running in recent) / len(recent) / (os.cpu_count() or 1)
    return max(slower, 1.0) * max(busier, 1.0)


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


def runnable() -> int:
    """Return how many other threads run now, or wait for a processor (proc_loadavg(5), its fourth field)."""
    with open("/proc/loadavg") as file:  # noqa: PTH123 - pathlib costs more than all the rest
        return int(file.read().split()[3].partition("/")[0]) - 1


def main(samples: mmap.mmap) -> None:
    count = 0
    while True:
        started = time.monotonic()
        sum(range(WORK))
        ended = time.monotonic()
        _SAMPLE.pack_into(samples, count % _KEPT * _SAMPLE.size, ended, ended - started, runnable())
        if not count:
            sys.stdout.write("begun\n")
            sys.stdout.flush()
        count += 1
        if select.select([sys.stdin], [], [], PAUSE_SECONDS)[0]:
            break


if __name__ == "__main__":
    main(mmap.mmap(int(sys.argv[1]), 0))
