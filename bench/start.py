"""What a start costs: the CPU of importing and making the application."""

import os
import tempfile
from pathlib import Path
from subprocess import run

from bench.cpu import SERVER_CORE, on_core
from bench.measure import Numbers
from bench.rivals.sluice import database
from bench.servers import Missing

TIMES = 3
_IMPORT = "import time, wsgi; print(time.process_time())"
_CREATE = """
import time
from app import create_app  # which is imported when it is first asked for

began = time.process_time()
create_app()
print(time.process_time() - began)
"""


def start(root: Path) -> Numbers:
    """Measure the CPU of a new Python that imports a tree's `wsgi`, and what `create_app()` is of it, in seconds.

    Of several times the least, since what is above it is the machine's. The first of all is not counted: it may compile
    the modules and makes the database.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = {"DATABASE_URL": database(Path(folder))}
        _seconds(_IMPORT, root, settings)
        return {
            "import_cpu_s": min(_seconds(_IMPORT, root, settings) for _ in range(TIMES)),
            "create_cpu_s": min(_seconds(_CREATE, root, settings) for _ in range(TIMES)),
        }


def _seconds(code: str, root: Path, settings: dict[str, str]) -> float:
    """Run code in a tree; return the number that it prints. Raises `Missing`."""
    command, environment = [f"{root}/.venv/bin/python", "-c", code], {"PATH": os.defpath, **settings}
    with on_core(SERVER_CORE):
        done = run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing(f"cannot be imported: {done.stderr.strip().splitlines()[-1]}")
    return float(done.stdout.split()[-1])
