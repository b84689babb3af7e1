"""Starts the simulator and the service as processes of their own, the way that users do."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

from app.config import Settings
from app.providers import PROVIDERS
from tests.machine import slack

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60
NO_LIMITS = {"RATE_LIMIT": "1000000/minute", "MAX_STREAMS_PER_USER": "10000"}
"""What most tests need: they are all one user's, who asks for more than a person does."""
OF_PROVIDERS = tuple({f"{provider.key.variable.partition('_')[0]}_" for provider in PROVIDERS.values()})
"""How the variables of the providers begin."""

T = TypeVar("T")


def wait_for(look: Callable[[], T | None], seconds: float | None = None) -> T:
    """Look again and again until there is something; fail with the last thing seen when the time is over.

    Those are seconds of a quiet machine. Unless given, they are for ever here: no promise, but for tests to end.
    """
    started, waited = time.monotonic(), 0.0
    while not (found := look()):
        waited = time.monotonic() - started
        if waited > (seconds or START_SECONDS) and waited > (seconds or START_SECONDS) * slack():
            break
        time.sleep(min(0.01 + waited / 10, 0.1))
    assert found, f"not within {waited:.1f} s: {look!r} saw {found!r}"
    return found


def opened(pid: int | str) -> list[str]:
    """Name all that a process has open now, as proc(5) has it: paths, `socket:[number]`, `pipe:[number]`, ..."""
    found = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it has just been closed
            found.append(str(descriptor.readlink()))
    return found


@dataclass
class Simulator:
    """Providers on this machine."""

    url: str
    pid: int
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The variables that make a provider the simulated one, by its name."""

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def requests(self) -> list[dict[str, Any]]:
        """Return what it received, the newest last."""
        found: list[dict[str, Any]] = json.loads(urllib.request.urlopen(f"{self.url}/requests").read())
        return found

    def received(self, marker: str) -> dict[str, Any]:
        """Return the one request whose body holds a marker."""
        found = wait_for(lambda: [seen for seen in self.requests() if marker in json.dumps(seen["body"])])
        assert len(found) == 1
        return found[0]


@dataclass
class Service:
    """The service under its server: gunicorn, started by the Procfile's line, unless another was chosen."""

    url: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path
    database: Path

    def profile_set(self, name: str, value: str) -> None:
        """Set a setting the way that users do."""
        command = [str(Path(sys.executable).parent / "flask"), "--app", "wsgi", "profile", "set", name]
        environment = environment_without({"DATABASE_URL": f"sqlite:///{self.database}"})
        subprocess.run(command, cwd=ROOT, env=environment, input=value.encode(), check=True, capture_output=True)

    def pids(self) -> list[int]:
        """Return the master's process id and the workers'."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [self.process.pid, *map(int, children.split())]


class Processes:
    """All processes that the tests have started; each kind of service only once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._started: list[subprocess.Popen[bytes]] = []
        self._services: dict[frozenset[tuple[str, str]], Service] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started:  # all at once: each takes its time
            process.terminate()
        self._stack.close()

    def simulator(self, module: str = "app.simulator") -> Simulator:
        command = [sys.executable, "-m", module, "--port", "0", "--environment"]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, env=environment_without({}))
        self._started.append(process)
        self._stack.callback(stop, process)
        assert process.stdout is not None
        url = process.stdout.readline().decode().split()[-1]
        return Simulator(url, process.pid, json.loads(process.stdout.readline()))

    def service(self, environment: Mapping[str, str], line: str = "") -> Service:
        """Return the service with this environment, started if it is not running yet; `line` as below."""
        kind = frozenset({**environment, "": line}.items())
        if kind not in self._services:
            self._services[kind] = self.fresh_service(environment, line)
        return self._services[kind]

    def fresh_service(self, environment: Mapping[str, str], line: str = "") -> Service:
        """Start one more service, for a test that ends it. `line` replaces the Procfile's, its {port} filled in."""
        folder = self._folder / str(len(list(self._folder.iterdir())))
        folder.mkdir()
        port, log, database = free_port(), folder / "log", folder / "sluice.db"
        own = {"PORT": str(port), "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{port}", **NO_LIMITS}
        with log.open("wb") as out:
            process = subprocess.Popen(
                command(line.format(port=port)) if line else procfile("web"),
                cwd=ROOT,
                env=environment_without({"DATABASE_URL": f"sqlite:///{database}", **own, **environment}),
                stdout=out,
                stderr=out,
            )
        self._started.append(process)
        self._stack.callback(stop, process)
        service = Service(f"http://127.0.0.1:{port}", port, process, log, database)
        wait_for(lambda: healthy(service))
        return service


def printed(module: str, *arguments: str, is_patched: bool = False) -> str:
    """Run one of the tests' programs in a process of its own, patched by gevent or not; return what it prints."""
    runner = ["-m", "gevent.monkey", "--module"] if is_patched else ["-m"]
    done = subprocess.run(
        [sys.executable, *runner, module, *arguments],
        cwd=ROOT,
        env=environment_without({}),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def procfile(name: str) -> list[str]:
    """Return the command of a line of the Procfile."""
    lines = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
    return command(lines[name])


def command(line: str) -> list[str]:
    """Return a line's command, from the environment that runs the tests."""
    program, *arguments = shlex.split(line)
    return [str(Path(sys.executable).parent / program), *arguments]


def environment_without(changes: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without a setting of the service's, but with these changes."""
    return {name: value for name, value in os.environ.items() if not is_setting(name)} | dict(changes)


def is_setting(name: str) -> bool:
    """Tell whether a variable is one that the service, its server or a library of theirs reads."""
    servers = ("REDIS_URL", "PORT", "WEB_CONCURRENCY", "GUNICORN_", "HEADER_", "FORWARDED_")
    libpq = ("PG",)  # PGHOST, PGPASSWORD ...: what PostgreSQL's library takes where a URL leaves something open
    settings = Settings.__dataclass_fields__  # in small letters too, as https_proxy is found
    own = (*OF_PROVIDERS, *servers, *libpq, *settings, *(name.upper() for name in settings))
    return name.startswith(own)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def healthy(service: Service) -> bool:
    assert service.process.poll() is None, service.log.read_text()
    with suppress(urllib.error.URLError, ConnectionError):
        return bool(urllib.request.urlopen(f"{service.url}/healthz").status == 200)
    return False


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout:
        process.stdout.close()


if __name__ == "__main__":
    sys.stdout.writelines(f"{name}\n" for name in os.environ if is_setting(name))
