"""bin/run, as a person starts it."""

import os
import re
import signal
import subprocess
import sys

from app.simulator import ANSWER
from tests.processes import ROOT, environment_without, free_port


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


def test_a_real_provider_that_refuses_is_a_sentence_and_serving_goes_on() -> None:
    with run(GROQ_API_KEY="gsk_x", GROQ_BASE_URL="http://127.0.0.1:9") as process:
        said = said_until(process, "Serving until Ctrl-C")
        assert "groq is real" in said
        assert "The provider could not be reached." in said
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)
    assert process.returncode == 0


def test_a_taken_port_is_one_sentence() -> None:
    with run() as process:
        said = said_until(process, "Serving until Ctrl-C")
        taken = re.findall(r"127\.0\.0\.1:(\d+)", said)[0]
        with run(PORT=taken) as second:
            assert (
                second.communicate(timeout=120)[0]
                == f"Port {taken} is in use or cannot be used: set PORT to another one.\n"
            )
        assert second.returncode == 1
        os.kill(process.pid, signal.SIGINT)
        process.communicate(timeout=120)
