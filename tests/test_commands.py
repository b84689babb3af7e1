"""The commands, as a person types them."""

import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.client import chat
from tests.processes import ROOT, Processes, Simulator, environment_without, procfile

KEY = "gsk_a-canary-of-the-profile"


def flask(database: Path, *arguments: str, said: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command."""
    program = str(Path(sys.executable).parent / "flask")
    environment = environment_without({"DATABASE_URL": f"sqlite:///{database}", **variables})
    command = [program, "--app", "wsgi", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, input=said, capture_output=True, text=True, check=False)


def test_a_setting_is_read_from_standard_input_and_never_shown(tmp_path: Path) -> None:
    database = tmp_path / "sluice.db"
    done = flask(database, "profile", "set", "groq_api_key", said=f"{KEY}\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "groq_api_key is set.\n", "")
    shown = flask(database, "profile", "show", MISTRAL_API_KEY="mistral-canary")
    lines = dict(line.split(maxsplit=1) for line in shown.stdout.splitlines())
    assert (lines["groq_api_key"], lines["mistral_api_key"], lines["openai_api_key"]) == (
        "profile",
        "MISTRAL_API_KEY",
        "-",
    )
    assert "canary" not in done.stdout + shown.stdout
    assert flask(database, "profile", "unset", "groq_api_key").stdout == "groq_api_key is removed.\n"
    assert flask(database, "profile", "unset", "groq_api_key").stdout == "groq_api_key was not set.\n"


def test_a_setting_is_asked_for_at_a_terminal_without_an_echo(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [str(Path(sys.executable).parent / "flask"), "--app", "wsgi", "profile", "set", "groq_api_key"]
    environment = environment_without({"DATABASE_URL": f"sqlite:///{tmp_path}/sluice.db"})
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        shown = b""
        while b"groq_api_key: " not in shown:
            shown += os.read(ours, 1000)
        os.write(ours, f"{KEY}\n".encode())
        while b"is set" not in shown:
            shown += os.read(ours, 1000)
        assert process.wait(10) == 0
    os.close(ours)
    assert KEY.encode() not in shown


def test_the_environment_is_said_to_win(tmp_path: Path) -> None:
    done = flask(tmp_path / "sluice.db", "profile", "set", "groq_api_key", said=KEY, GROQ_API_KEY="x")
    assert done.stdout.splitlines()[1] == "GROQ_API_KEY is set in the environment too, and wins."


@pytest.mark.parametrize("said", ["", " \n", "two\nlines", "a\x1bkey"])
def test_what_cannot_be_a_value_is_refused(tmp_path: Path, said: str) -> None:
    done = flask(tmp_path / "sluice.db", "profile", "set", "groq_api_key", said=said)
    assert done.returncode == 1
    assert done.stderr.endswith("Nothing was set.\n")


def test_an_unknown_setting_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    done = flask(tmp_path / "sluice.db", "profile", "set", "groq_base_url", said=KEY)
    assert done.returncode == 2
    assert "'groq_api_key'" in done.stderr


def test_a_database_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for command in (["profile", "show"], ["migrate"]):
        done = flask(tmp_path / "file" / "sluice.db", *command)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr


def test_a_wrong_setting_is_a_sentence(tmp_path: Path) -> None:
    done = flask(tmp_path / "sluice.db", "migrate", MAX_STREAMS="many")
    assert done.returncode != 0
    assert "MAX_STREAMS must be a whole number above 0, not 'many'." in done.stderr


def test_the_release_line_migrates_and_may_run_again(tmp_path: Path) -> None:
    environment = environment_without({"DATABASE_URL": f"sqlite:///{tmp_path}/sluice.db"})
    for _ in range(2):
        done = subprocess.run(procfile("release"), cwd=ROOT, env=environment, capture_output=True, check=True)
        assert done.stdout == b"The database is up to date.\n"


def test_a_key_set_while_the_service_runs_is_used_at_once(
    processes: Processes, environment: Mapping[str, str], simulator: Simulator
) -> None:
    ours = {name: value for name, value in environment.items() if name != "GROQ_API_KEY"}
    service = processes.fresh_service(ours)
    assert chat(service, "groq", "demo").json()["code"] == "missing_key"
    service.profile_set("groq_api_key", KEY)
    assert chat(service, "groq", "demo").status == 200
    assert dict(simulator.requests()[-1]["headers"])["authorization"] == f"Bearer {KEY}"
    service.profile_set("groq_api_key", "schlüssel")
    refused = chat(service, "groq", "demo").json()
    assert (refused["code"], "schl" in refused["message"]) == ("bad_key", False)
    assert KEY not in service.log.read_text()
