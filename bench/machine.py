"""What the numbers were measured on."""

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path

from bench.cpu import LOAD_CORE, SERVER_CORE


def describe() -> list[str]:
    """Return a line for each fact."""
    processor = Path("/proc/cpuinfo").read_text()
    virtual = ", a virtual machine" if re.search(r"^flags.*\bhypervisor\b", processor, re.MULTILINE) else ""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return [
        f"Date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"Machine: {_model(processor)}, {os.cpu_count()} cores, {memory:.0f} GiB{virtual}",
        f"System: {platform.freedesktop_os_release()['PRETTY_NAME']}, Linux {platform.release()}",
        f"Cores: {SERVER_CORE} for the servers, {LOAD_CORE} for the load and the provider",
        f"Python {platform.python_version()}",
    ]


def _model(processor: str) -> str:
    found = re.search(r"^model name\s*: (.+)$", processor, re.MULTILINE)
    return found[1] if found else platform.machine()
