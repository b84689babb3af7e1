"""What is installed: the command `sluice`, in a folder with an `app` of its own, from a wheel and from a checkout."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.simulator import ANSWER
from tests.client import chat
from tests.mounting import installed
from tests.mounting.installed import BUILD, Environment
from tests.processes import Service, Simulator, free_port, healthy, stop, wait_for

COMMANDS = ("doctor", "migrate", "profile", "serve", "simulate", "token", "vault")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an `app.py` that nothing of Sluice must import."""
    (tmp_path / "app.py").write_text("raise SystemExit('the application of the host')")
    return tmp_path


@pytest.fixture(scope="module", params=["wheel", "editable"])
def environment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, from_wheel: Environment
) -> Environment:
    """An environment with Sluice from the wheel, and one with it from a checkout (`pip install -e`)."""
    if request.param == "wheel":
        return from_wheel
    checkout = tmp_path_factory.mktemp("checkout") / "sluice"
    return installed.environment(checkout.with_name("environment"), *BUILD, "--editable", installed.copy(checkout))


@contextmanager
def serving(environment: Environment, folder: Path, line: str, variables: Mapping[str, str]) -> Iterator[Service]:
    """Start the service in a folder, at the port that PORT names."""
    port, log = free_port(), folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            environment.command(line),
            cwd=folder,
            env=environment.variables({"PORT": str(port), **variables}),
            stdout=out,
            stderr=out,
        )
    service = Service(f"http://127.0.0.1:{port}", port, process, log, folder / "instance" / "sluice.db")
    try:
        wait_for(lambda: healthy(service))
        yield service
    finally:
        stop(process)


def test_serve_streams_in_any_folder(environment: Environment, folder: Path, simulator: Simulator) -> None:
    variables = {"OPENAI_BASE_URL": f"{simulator.url}/openai/v1", "OPENAI_API_KEY": "sk-x", "WEB_CONCURRENCY": "2"}
    with serving(environment, folder, "sluice serve --access-logfile -", variables) as service:
        assert chat(service, "openai", "demo").body.decode() == ANSWER
        assert wait_for(lambda: len(service.pids()) == 3)
    log = service.log.read_text()
    assert "GET /healthz" in log
    assert "Server:" not in log, "what a server cannot keep, such as several chats at once, is told at the first chat"
    assert service.database.exists()


def test_serve_finds_gunicorn_through_a_link(from_wheel: Environment, folder: Path) -> None:
    """As pipx and `uv tool` install it: the command is in an environment of its own, and a link to it in the PATH."""
    link = folder / "bin" / "sluice"
    link.parent.mkdir()
    link.symlink_to(from_wheel.folder / "bin" / "sluice")
    with serving(from_wheel, folder, f"{link} serve", {}) as service:
        assert healthy(service)


def test_the_commands_are_there_and_migrate(environment: Environment, folder: Path) -> None:
    listed = environment.run("sluice --help", folder, {}).stdout
    assert tuple(re.findall(r"^  ([a-z]+)  ", listed, re.MULTILINE)) == COMMANDS
    migrated = environment.run("sluice migrate", folder, {})
    assert (migrated.stdout, migrated.stderr) == ("The database is up to date.\n", "")
    examined = environment.run("sluice doctor", folder, {})
    assert "instance/sluice.db is up to date." in examined.stdout, examined.stderr
    assert "`sluice token create --user NAME` ends that." in examined.stdout
    assert examined.returncode == 0
    assert environment.run("sluice --version", folder, {}).stdout == "sluice, version 0.1.0\n"


def test_a_wrong_setting_is_a_sentence(from_wheel: Environment, folder: Path) -> None:
    done = from_wheel.run("sluice migrate", folder, {"MAX_STREAMS": "many"})
    sentence = "Sluice cannot start: MAX_STREAMS must be a whole number above 0, not 'many'.\n"
    assert (done.returncode, done.stderr) == (4, sentence)


def test_shells_complete_the_commands(from_wheel: Environment, folder: Path) -> None:
    assert "complete" in from_wheel.run("sluice", folder, {"_SLUICE_COMPLETE": "bash_source"}).stdout
    typed = {"_SLUICE_COMPLETE": "bash_complete", "COMP_WORDS": "sluice profile s", "COMP_CWORD": "2"}
    assert from_wheel.run("sluice", folder, typed).stdout == "plain,set\nplain,show\n"


@pytest.mark.parametrize("line", ["sluice simulate", "python -m sluice.simulator"])
def test_the_simulator_is_installed(from_wheel: Environment, folder: Path, line: str) -> None:
    process = subprocess.Popen(
        from_wheel.command(f"{line} --port 0"), cwd=folder, env=from_wheel.variables({}), stdout=subprocess.PIPE
    )
    try:
        assert process.stdout
        url = process.stdout.readline().decode().split()[-1]
        assert Simulator(url, process.pid).requests() == []
    finally:
        stop(process)
