"""The configurations of docs/hosting.md, as they stand there but for the folder, the port and the environment."""

import re
import sys
from pathlib import Path

from tests.processes import ROOT

PAGE = ROOT / "docs" / "hosting.md"
FOLDER = "/srv/sluice"
PORT = "8000"


def blocks(language: str) -> list[str]:
    """Return the page's blocks in a language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def block(language: str, marker: str) -> str:
    """Return the one block that a line stands in."""
    (found,) = (text for text in blocks(language) if marker in text)
    return found


def here(text: str, port: str, environment: Path) -> str:
    """Put this folder, this port and this environment in the place of the page's."""
    return text.replace(f"{FOLDER}/.venv", str(environment)).replace(FOLDER, str(ROOT)).replace(PORT, port)


def system_environment(folder: Path) -> Path:
    """Make an environment of the system's Python, which Debian's servers embed, with the packages of this one."""
    version = f"python3.{sys.version_info[1]}"
    program = Path("/usr/bin") / version
    assert program.exists(), f"Debian's uWSGI and mod_wsgi embed Debian's own Python, and {version} is not that."
    packages = folder / "lib" / version / "site-packages"
    packages.mkdir(parents=True)
    (packages / "tests.pth").write_text(f"{Path(sys.prefix) / 'lib' / version / 'site-packages'}\n")
    (folder / "bin").mkdir()
    for name in ("python", "python3"):
        (folder / "bin" / name).symlink_to(program)
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\n")
    return folder
