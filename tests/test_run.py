"""bin/run, as a person starts it."""

import re
import signal
import socket
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

from app.simulator import ANSWER
from tests.processes import ROOT, environment_without, free_port


@pytest.fixture
def script() -> ModuleType:
    """bin/run as a module."""
    loader = SourceFileLoader("bin_run", str(ROOT / "bin" / "run"))
    spec = spec_from_loader(loader.name, loader)
    assert spec
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def run(**variables: str) -> subprocess.Popen[str]:
    environment = environment_without({"DATABASE_URL": "", "PORT": str(free_port()), **variables})
    return subprocess.Popen(
        [sys.executable, "bin/run"],
        cwd=ROOT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def said_until(process: subprocess.Popen[str], ending: str) -> str:
    """Return what a process said until a line with this ending."""
    said = ""
    assert process.stdout
    while not said.endswith(f"{ending}\n"):
        line = process.stdout.readline()
        assert line, said
        said += line
    return said


def test_it_shows_an_answer_serves_and_ends_cleanly() -> None:
    with run() as process:
        said = said_until(process, "Serving until Ctrl-C")
        assert re.search(r"Sluice is at http://127\.0\.0\.1:\d+/", said)
        assert ANSWER in said
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=120)[0]
    assert process.returncode == 0, rest
    assert "Traceback" not in rest


def test_a_refusal_of_a_real_provider_is_a_sentence() -> None:
    with run(GROQ_API_KEY="gsk_x", GROQ_BASE_URL="http://127.0.0.1:9") as process:
        said = said_until(process, "Serving until Ctrl-C")
        assert "groq is real" in said
        assert "The provider could not be reached." in said
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)
    assert process.returncode == 0


def test_a_real_provider_is_asked_for_a_model_that_it_has() -> None:
    azure = {"AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_ENDPOINT": "http://127.0.0.1:9", "AZURE_GPT_35_TURBO_NAME": "x"}
    with run(**azure) as process:
        said = said_until(process, "Serving until Ctrl-C")
        assert "azure is real" in said
        assert "Asking azure for gpt-3.5-turbo: " in said
        assert "The provider could not be reached." in said
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)
    assert process.returncode == 0


def test_a_taken_port_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = str(listener.getsockname()[1])
        with run(PORT=taken) as process:
            said = process.communicate(timeout=120)[0]
    assert (process.returncode, said) == (1, f"Port {taken} is in use or cannot be used: set PORT to another one.\n")


def test_an_optimised_python_is_preferred(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, status in (("plain", 1), ("other", 1), ("optimised", 0)):
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {status}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = {}
    for own in ("plain", "optimised"):
        monkeypatch.setattr(sys, "executable", str(tmp_path / own))
        for others in (("other",), ("missing", "other", "optimised")):
            monkeypatch.setattr(script, "PYTHONS", others)
            found[own, len(others)] = Path(script.best_python()).name
    assert found == {
        ("plain", 1): "plain",
        ("plain", 3): "optimised",
        ("optimised", 1): "optimised",
        ("optimised", 3): "optimised",
    }


@pytest.mark.parametrize(
    ("arguments", "flags", "status"),
    [
        ("--enable-optimizations", "-fprofile-use", 0),
        ("--enable-shared", "", 0),
        ("--enable-shared", "-fprofile-use", 1),
    ],
    ids=["optimised", "debian", "plain"],
)
def test_what_a_python_says_of_its_build_is_read(script: ModuleType, arguments: str, flags: str, status: int) -> None:
    known = {"CONFIG_ARGS": arguments, "PGO_PROF_USE_FLAG": flags}
    code = f"import sysconfig; sysconfig.get_config_vars().update({known})\n{script.IS_OPTIMISED}"
    assert subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL, check=False).returncode == status
