"""What the kernel knows of a worker: its open descriptors, and the most memory that it took."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults import kernel
from tests.processes import opened


def descriptors(pid: int, provider_port: int) -> int:
    """Count sockets, pipes and epolls, but for idle connections to the provider; files are the database's."""
    idle = {f"socket:[{row.inode}]" for row in kernel.rows(provider_port) if row.remote == provider_port}
    return sum(link.startswith(("socket:", "pipe:", "anon_inode:")) for link in opened(pid) if link not in idle)


@contextmanager
def growth(pid: int) -> Iterator[list[float]]:
    """Measure by how many MiB a worker's memory grows, at its peak; the list takes that one number at the end."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak is counted from now
    before = _kib(pid, "VmRSS")
    found: list[float] = []
    yield found
    found.append((_kib(pid, "VmHWM") - before) / 1024)


def _kib(pid: int, name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1])
