"""Copies of this repository, at a revision or as it is now, that servers are started from."""

import os
import sys
from pathlib import Path
from subprocess import run

from bench import venvs
from bench.servers import ROOT, VENV


def write(folder: Path, revision: str = "", repository: Path = ROOT) -> Path:
    """Write a revision of a repository into a folder, or its working tree with what is new in it; return the folder.

    The files go through an index of their own, so that the repository's stays as it is. Equal requirements share this
    repository's environment; others get one of their own, on the same Python.
    """
    for command in (f"read-tree {revision}" if revision else "add --all", f"checkout-index --all --prefix={folder}/"):
        environment = {**os.environ, "GIT_INDEX_FILE": f"{folder}.index"}
        done = run(
            ["git", *command.split()], cwd=repository, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(done.stderr.strip())
    lock = folder / "requirements.txt"
    if lock.read_bytes() == (ROOT / "requirements.txt").read_bytes():
        (folder / ".venv").symlink_to(VENV)
    else:
        venvs.install(folder / ".venv", lock)
    return folder
