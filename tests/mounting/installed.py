"""Environments that Sluice is installed into: what it depends on is there, and nothing of the repository."""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.processes import ROOT, environment_without

SOURCES = ("app", "setup.cfg", "setup.py", "README.md", "LICENSE")
PROGRAMS = ("django-admin", "flask", "gunicorn")
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
BUILD = ("--no-deps", "--no-build-isolation", "--use-pep517")


@dataclass(frozen=True)
class Environment:
    """A virtual environment."""

    folder: Path

    def command(self, line: str) -> list[str]:
        """Return the command of a line whose program is in this environment."""
        program, *arguments = shlex.split(line)
        return [str(self.folder / "bin" / program), *arguments]

    def variables(self, changes: Mapping[str, str]) -> dict[str, str]:
        """Return variables with which nothing outside of this environment is found."""
        own = {"PATH": f"{self.folder}/bin:{os.environ['PATH']}", **changes}
        return {name: value for name, value in environment_without(own).items() if name != "PYTHONPATH"}

    def run(self, line: str, folder: Path, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, in a folder."""
        environment = self.variables(variables)
        return subprocess.run(
            self.command(line), cwd=folder, env=environment, capture_output=True, text=True, check=False
        )


def wheel(folder: Path) -> Path:
    """Build the wheel of a copy of the repository; return its path."""
    subprocess.run([*PIP, "wheel", *BUILD, f"--wheel-dir={folder}", copy(folder / "copy")], check=True)
    (found,) = folder.glob("*.whl")
    return found


def copy(folder: Path) -> Path:
    """Copy what a package is built of; a build leaves its own files beside it."""
    folder.mkdir()
    for name in SOURCES:
        source = ROOT / name
        take = shutil.copytree if source.is_dir() else shutil.copy
        take(source, folder / name)
    return folder


def environment(folder: Path, *arguments: str | Path) -> Environment:
    """Make an environment, and install into it with these arguments of `pip install`."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    for name in PROGRAMS:
        _, _, code = Path(sys.executable).with_name(name).read_text().partition("\n")
        (folder / "bin" / name).write_text(f"#!{folder}/bin/python\n{code}")
        (folder / "bin" / name).chmod(0o755)
    subprocess.run([*PIP, f"--python={folder}/bin/python", "install", "--no-index", *arguments], check=True)
    return Environment(folder)
