"""The start: the port opens when everything is ready, and whoever comes from then on is answered, whatever happens."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from fcntl import LOCK_EX, flock
from pathlib import Path

import pytest

from tests.machine import slack
from tests.processes import ROOT, environment_without, free_port, opened, procfile, stop, wait_for

PATIENCE = 100
"""Seconds, in which even a machine that is busy with other things gets a service started, or ended."""
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
WAITING = 30
"""How many requests wait at the port when the process is told to end; both workers' together."""

Boot = Callable[..., "Booting"]


class Booting:
    """A service that was just started."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.port, self.log, self.began = free_port(), folder / "log", time.monotonic()
        self.database = folder / "sluice.db"
        place = {"PORT": str(self.port), "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{self.port}"}
        more = {"DATABASE_URL": f"sqlite:///{self.database}", "WEB_CONCURRENCY": "2", **place, **settings}
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                procfile("web"), cwd=ROOT, env=environment_without(more), stdout=out, stderr=out
            )

    def connect(self) -> socket.socket:
        """Connect as soon as that is possible, and send a request."""
        deadline = self.began + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(ConnectionRefusedError):
                sock = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
                sock.sendall(REQUEST)
                return sock
            time.sleep(0.001)
        raise AssertionError(self.log.read_text())

    def tell(self) -> int:
        """Tell the master to end; return its status."""
        self.process.terminate()
        return self.process.wait(PATIENCE)

    def holds(self, path: Path) -> bool:
        """Tell whether the master has opened a file."""
        return str(path) in opened(self.process.pid)


@pytest.fixture
def boot(tmp_path: Path) -> Iterator[Boot]:
    """What starts a service, and does not wait for it."""
    with ExitStack() as stack:

        def start(**settings: str) -> Booting:
            booting = Booting(tmp_path, **settings)
            stack.callback(stop, booting.process)
            return booting

        yield start


def answer(sock: socket.socket) -> bytes:
    """Return the first line that comes."""
    with sock:
        return sock.makefile("rb").readline().strip()


def test_who_can_connect_is_answered_at_once(boot: Boot) -> None:
    """Not after another start's time, that of the workers, on whatever machine."""
    booting = boot()
    with booting.connect() as sock:
        connected = time.monotonic()
        assert answer(sock) == b"HTTP/1.1 200 OK"
        assert time.monotonic() - connected < max((connected - booting.began) / 2, slack())


def test_whoever_came_before_the_end_is_answered(boot: Boot) -> None:
    booting = boot()
    waiting = [booting.connect() for _ in range(WAITING)]
    assert booting.tell() == 0
    assert [answer(sock) for sock in waiting] == [b"HTTP/1.1 200 OK"] * WAITING
    assert "Traceback" not in booting.log.read_text()


def test_who_has_only_just_connected_may_still_ask(boot: Boot) -> None:
    """A proxy's request may come a moment after its connection."""
    booting = boot()
    assert answer(booting.connect()) == b"HTTP/1.1 200 OK"
    sock = socket.create_connection(("127.0.0.1", booting.port), 0.3)
    booting.process.terminate()
    with pytest.raises(TimeoutError):
        sock.recv(1)
    sock.settimeout(PATIENCE)
    sock.sendall(REQUEST)
    assert answer(sock) == b"HTTP/1.1 200 OK"


@contextmanager
def being_migrated(database: Path) -> Iterator[Path]:
    """Be another process that migrates the database; yield the file by which others wait for it."""
    path = Path(f"{database}.lock")
    with path.open("w") as lock:
        flock(lock, LOCK_EX)
        yield path


def test_it_ends_at_once_and_well_before_its_port_is_open(boot: Boot, tmp_path: Path) -> None:
    with being_migrated(tmp_path / "sluice.db") as lock:
        booting = boot()
        wait_for(lambda: booting.holds(lock), PATIENCE)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", booting.port))
        assert booting.tell() == 0
    assert "Traceback" not in booting.log.read_text()


def test_a_wrong_setting_ends_the_start_with_one_sentence(boot: Boot) -> None:
    booting = boot(MAX_BODY_BYTES="many")
    assert booting.process.wait(PATIENCE) == 4
    sentence = "Sluice cannot start: MAX_BODY_BYTES must be a whole number above 0, not 'many'.\n"
    assert booting.log.read_text() == sentence
