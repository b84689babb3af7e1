"""What the kernel says of processes: CPU time, memory, descriptors; and where processes run."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PRIVATE = re.compile(r"^Private_(?:Clean|Dirty): *(\d+) kB", re.MULTILINE)
_TICKS = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = CORES[0], CORES[-1]


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Run this thread, and what it starts, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True, slots=True)
class Tree:
    """A process and all that it started."""

    pid: int

    def pids(self) -> list[int]:
        """Return the processes, those of every depth."""
        found = [self.pid]
        for pid in found:
            found += _children(pid)
        return found

    def cpu(self) -> float:
        """Return the seconds of CPU that all have used, in user mode and in the kernel.

        It is the kernel's process clock, which counts nanoseconds and also the threads that have ended; `schedstat`
        forgets those, and `utime` + `stime` counts in hundredths of a second. Only children that have ended come from
        there.
        """
        return sum(_clock(pid) + _reaped(pid) for pid in self.pids())

    def memory(self) -> int:
        """Return the bytes of memory that each process shares with no other; what it shares, others change."""
        return sum(_private(pid) for pid in self.pids())

    def descriptors(self) -> dict[str, int]:
        """Return how many descriptors of each kind are open."""
        kinds: dict[str, int] = {}
        for pid in self.pids():
            for kind in _descriptors(pid):
                kinds[kind] = kinds.get(kind, 0) + 1
        return kinds


def busy(core: int) -> float:
    """Return the seconds that a core was busy with anything at all, since the machine's start."""
    line = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith(f"cpu{core} "))
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, line.split()[1:])
    return (user + nice + system + irq + softirq) / _TICKS


def _children(pid: int) -> list[int]:
    try:
        tasks = [*Path(f"/proc/{pid}/task").iterdir()]
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def _clock(pid: int) -> float:
    try:
        return time.clock_gettime((~pid << 3) | 2)  # CPUCLOCK_SCHED of another process: see clock_getcpuclockid(3)
    except OSError:
        return 0


def _reaped(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return (int(fields[13]) + int(fields[14])) / _TICKS


def _private(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(int(found) * 1024 for found in _PRIVATE.findall(rollup))


def _descriptors(pid: int) -> Iterator[str]:
    try:
        links = [*Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return
    for link in links:
        try:
            yield str(link.readlink()).partition(":[")[0].removeprefix("anon_inode:").strip("[]")
        except OSError:
            continue
