"""A server under test: what it is, how it starts, and how it is asked."""

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from subprocess import DEVNULL, STDOUT, Popen, TimeoutExpired
from types import MappingProxyType

from bench.answers import MODEL, Spec
from bench.cpu import LOAD_CORE, SERVER_CORE, Tree, on_core
from bench.readers import Reader

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".bench"
VENV = ROOT / ".venv"
START_SECONDS, STOP_SECONDS = 120, 10


class Missing(Exception):
    """A server cannot be installed or started; the message says why in one line."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one server runs: a folder for its files, its port, and the port of the provider that it asks."""

    folder: Path
    port: int
    upstream: int


def completions_chat(prompt: str) -> dict[str, object]:
    """Return the body of a request to OpenAI's chat completions."""
    return {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": prompt}]}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of server.

    `install` makes it ready and returns its versions, or raises `Missing`. `command` writes what files it needs and
    returns the command that starts it. `chat` makes a request's body from a prompt, `read` reads an answer's body.
    """

    name: str
    about: str
    install: Callable[[], str]
    command: Callable[[Place], list[str]]
    read: Reader
    path: str = "/v1/chat/completions"
    chat: Callable[[str], dict[str, object]] = completions_chat
    environment: Callable[[Place], dict[str, str]] = lambda _: {}
    headers: Mapping[str, str] = field(default_factory=dict)
    health: str = "/"
    slow: bool = False
    """Many streams must be opened slowly, and only in the first run."""
    root: Path = ROOT
    """The tree that it runs in, and whose `.venv` has its programs."""

    def request(self, spec: Spec) -> bytes:
        """Return a whole HTTP request for an answer."""
        body = json.dumps(self.chat(spec.prompt))
        headers = {"Host": "localhost", "Content-Type": "application/json", "Content-Length": len(body), **self.headers}
        lines = [f"POST {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", body]
        return "\r\n".join(lines).encode()


@dataclass(slots=True)
class Running:
    """A server that runs. `started` is how long its start took, in seconds."""

    kind: Kind
    port: int
    tree: Tree
    started: float = 0


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def process(
    command: list[str], environment: Mapping[str, str], log: Path, core: int, root: Path = ROOT
) -> Iterator[Popen[bytes]]:
    """Run a command in a tree, on one core, with no other environment than this."""
    own = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    path = f"{root}/.venv/bin:{os.environ.get('PATH', os.defpath)}"
    with log.open("wb") as out, on_core(core):
        started = Popen(
            command,
            cwd=root,
            env={"PATH": path, **own, **environment},
            stdin=DEVNULL,
            stdout=out,
            stderr=STDOUT,
            process_group=0,
        )
    try:
        yield started
    finally:
        _stop(started)


@contextmanager
def upstream(folder: Path) -> Iterator[int]:
    """Run the benchmark's provider; yield its port."""
    port, log = free_port(), folder / "upstream.log"
    command = [f"{VENV}/bin/python", "-m", "bench.upstream", str(port)]
    with process(command, {}, log, LOAD_CORE) as started:
        wait(started, port, "/", log)
        yield port


@contextmanager
def running(kind: Kind, place: Place, settings: Mapping[str, str] = MappingProxyType({})) -> Iterator[Running]:
    """Run a server, alone on its core, with some settings besides its own. Raises `Missing` when it does not start."""
    log = place.folder / f"{kind.name}.log"
    command, environment = kind.command(place), {**kind.environment(place), **settings}
    began = time.monotonic()
    with process(command, environment, log, SERVER_CORE, kind.root) as started:
        wait(started, place.port, kind.health, log)
        yield Running(kind, place.port, Tree(started.pid), time.monotonic() - began)


def wait(started: Popen[bytes], port: int, path: str, log: Path) -> None:
    """Wait until a server answers at all."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and started.poll() is None:
        try:
            get(port, path)
        except OSError:
            time.sleep(0.005)
        else:
            return
    words = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    raise Missing(f"does not start: {words[-1].strip() if words else 'it says nothing'}")


def get(port: int, path: str) -> bytes:
    """Get a page of a server on this machine. Raises `OSError` while there is none."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    except HTTPException as error:
        raise OSError from error
    finally:
        connection.close()


def _stop(started: Popen[bytes]) -> None:
    started.terminate()
    try:
        started.wait(STOP_SECONDS)
    except TimeoutExpired:
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()
