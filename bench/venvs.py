"""Virtual environments beside the one of this repository, on the same Python."""

import sys
from pathlib import Path
from subprocess import PIPE, STDOUT, run

from bench.servers import CACHE, Missing


def rival(name: str, *packages: str) -> str:
    """Install what `bench/rivals/NAME.txt` pins, unless it is there; return the versions of some packages."""
    lock = Path(__file__).parent / "rivals" / f"{name}.txt"
    install(CACHE / name, lock)
    return versions(CACHE / name, *packages)


def install(folder: Path, lock: Path) -> None:
    """Make an environment of the packages that a lock pins, unless it is there. Raises `Missing`."""
    ready = folder / "ready"
    if ready.exists() and ready.read_bytes() == lock.read_bytes():
        return
    print(f"Installing {lock.stem} ...", flush=True)
    _run(sys.executable, "-m", "venv", "--clear", str(folder))
    _run(f"{folder}/bin/pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", str(lock))
    ready.write_bytes(lock.read_bytes())


def versions(folder: Path, *packages: str) -> str:
    """Return the versions of packages in an environment: "gunicorn 27.0.1, gevent 26.9.0"."""
    show = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    found = _run(f"{folder}/bin/python", "-c", show, *packages).split()
    return ", ".join(f"{name} {version}" for name, version in zip(packages, found, strict=True))


def _run(*command: str) -> str:
    """Run a command; return its last line."""
    done = run(command, stdout=PIPE, stderr=STDOUT, text=True, check=False)
    words = done.stdout.strip().splitlines() or [""]
    if done.returncode:
        raise Missing(f"cannot be installed: {words[-1]}")
    return words[-1]
