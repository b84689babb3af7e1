"""What the numbers were measured on."""

import os
import platform
import re
import sys
import sysconfig
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
        f"Python {platform.python_version()}, {build(sys.base_prefix, sysconfig.get_config_var('CONFIG_ARGS') or '')}",
    ]


def build(prefix: str, options: str) -> str:
    """Say how a Python was built, and where it is, by the options of its `configure`.

    Debian builds it with PGO and LTO on the usual machines and takes the flags out of sysconfig afterwards: see
    /usr/share/doc/python3.11-minimal/changelog.Debian.gz, #934771 and #934812.
    """
    if prefix == "/usr" and Path("/etc/debian_version").exists():
        return "Debian's package, which its changelog says is built with PGO and LTO"
    pgo, lto = "--enable-optimizations" in options, "--with-lto" in options
    built = "optimised" if pgo else "not optimised"
    place = prefix.replace(str(Path.home()), "~")
    return f"{built}: {'with' if pgo else 'without'} PGO, {'with' if lto else 'without'} LTO by sysconfig; from {place}"


def _model(processor: str) -> str:
    found = re.search(r"^model name\s*: (.+)$", processor, re.MULTILINE)
    return found[1] if found else platform.machine()
