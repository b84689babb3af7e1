"""The simulator as a process."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import Simulator

from .questions import request as ask


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """A simulator on a free port. It must end quietly, and must never have complained."""
    complaints: Path = tmp_path_factory.mktemp("simulator") / "stderr"
    command = [sys.executable, "-m", "app.simulator", "--port", "0", "--refuse", "sk-refused", "--refuse", "k{0}"]
    with (
        complaints.open("wb") as stderr,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True) as process,
    ):
        assert process.stdout
        first = process.stdout.readline()
        assert first.startswith("Simulator listening on http://127.0.0.1:"), complaints.read_text()
        yield Simulator(first.split()[-1], process.pid)
        process.terminate()
        assert process.wait(10) == 0
    assert complaints.read_text() == ""


@pytest.fixture(autouse=True)
def _forget(request: pytest.FixtureRequest) -> None:
    """Let each test find only the notes of its own requests."""
    if "simulator" in request.fixturenames:
        ask(request.getfixturevalue("simulator"), "DELETE", "/requests")
