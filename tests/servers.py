"""PostgreSQL, Redis and nginx for the tests: never the system's, each in a folder and on a port of its own.

They end with the tests, however those end: the kernel signals them when the process that started them is gone. Where
the tests run as root, they run as `nobody`: PostgreSQL refuses to serve as root, and none of them needs to.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import redis

from tests.machine import slack
from tests.processes import environment_without, free_port, wait_for

PASSWORD = "canary%8@stores"
"""Of PostgreSQL and Redis: no log may ever show it, and a URL has to quote it."""
START_SECONDS = 60
_NOBODY = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
_ACCOUNT: dict[str, Any] = {"user": _NOBODY.pw_uid, "group": _NOBODY.pw_gid, "extra_groups": []} if _NOBODY else {}
_PLACES = [*sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True), "/usr/sbin"]
"""Where Debian keeps programs that are not on everybody's PATH."""

NGINX = """
daemon off;
pid nginx.pid;
worker_processes 1;
events {{ worker_connections 2000; }}
http {{
    access_log access.log;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    {servers}
}}
"""
PROXY = """
    client_max_body_size 0;
    upstream instances {{ {instances} }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://instances;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
        }}
    }}
"""
"""A proxy as its manual has it. What it does unasked: an instance that takes no connection is passed over, but a POST
that was sent to one is never sent to another (`proxy_next_upstream`); `X-Accel-Buffering: no` turns its buffers off."""


@dataclass
class Server:
    """A server that a test may stop, start again with the same data at the same port, and pause."""

    url: str
    """PostgreSQL's database for making others, Redis's before a database's number, nginx's pages."""
    port: int
    folder: Path
    """Its files, among them `log`."""
    command: list[str]
    ending: signal.Signals
    """What ends it at once, and its children with it."""
    answers: Callable[[str], object]
    """Raises while nothing at the URL answers."""
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, unless it runs, and wait until it answers."""
        assert threading.current_thread() is threading.main_thread(), "the kernel would end it with this thread"
        if not self.process:
            leash = ["setpriv", "--pdeathsig", self.ending.name.removeprefix("SIG")]
            self.process = launch([*leash, *self.command], self.folder)
        self.resume()
        wait_for(self.is_up)

    def is_up(self) -> bool:
        assert self.process, "stopped"
        assert self.process.poll() is None, self.log()
        with suppress(OSError, psycopg.OperationalError, redis.RedisError):
            self.answers(self.url)
            return True
        return False

    def stop(self) -> None:
        """End it at once: whatever it was doing is not finished first."""
        if self.process:
            self.process.send_signal(self.ending)
            self.resume()
            self.process.wait(START_SECONDS * slack())
        self.process = None

    def pause(self) -> None:
        """Let it accept connections, and answer nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Be without it for a while."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Be without its answers for a while."""
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def _signal(self, number: signal.Signals) -> None:
        """Signal the process and its children, of which each of PostgreSQL's is the leader of a group of its own."""
        if self.process and self.process.poll() is None:
            pid = self.process.pid
            os.kill(pid, number)
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                with suppress(ProcessLookupError):
                    os.kill(int(child), number)


@contextmanager
def postgres() -> Iterator[Server]:
    """Run PostgreSQL. Its data outlive a `stop`, though they are not safe from a power cut."""
    with own_folder({"password": PASSWORD}) as folder:
        shown = ["--pgdata=data", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions", "--wal-segsize=1"]
        login = ["--username=sluice", "--pwfile=password", "--auth=scram-sha-256"]
        initdb = launch([program("initdb"), *shown, *login], folder)
        assert initdb.wait(START_SECONDS * slack()) == 0, (folder / "log").read_text()
        port = free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "dynamic_shared_memory_type": "mmap",  # in its folder, where nothing of it is left
            "fsync": "off",
            "full_page_writes": "off",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        command = [program("postgres"), "-D", "data", "-p", str(port), *options]
        url = f"postgresql://sluice:{quote(PASSWORD)}@127.0.0.1:{port}/postgres"
        with _running(Server(url, port, folder, command, signal.SIGQUIT, _says_yes)) as server:
            yield server


@contextmanager
def database(server: Server) -> Iterator[str]:
    """Make an empty database in PostgreSQL and yield its URL; drop it at the end, whoever still uses it."""
    name = f"test_{secrets.token_hex(6)}"
    _query(server.url, f"CREATE DATABASE {name}")
    try:
        yield server.url.removesuffix("postgres") + name
    finally:
        server.start()
        _query(server.url, f"DROP DATABASE {name} WITH (FORCE)")


def _says_yes(url: str) -> None:
    _query(url, "SELECT 1", seconds=2)


def _query(url: str, text: str, seconds: int = 60) -> None:
    with psycopg.connect(url, autocommit=True, connect_timeout=seconds) as connection:
        connection.execute(text.encode())


@contextmanager
def redis_server() -> Iterator[Server]:
    """Run Redis with a thousand databases, which it forgets when it stops. Each `/1` behind its URL is one."""
    with own_folder({}) as folder:
        port = free_port()
        settings = f"--bind 127.0.0.1 --port {port} --databases 1000 --appendonly no --requirepass {PASSWORD}"
        command = [program("redis-server"), *settings.split(), "--save", ""]
        url = f"redis://:{quote(PASSWORD)}@127.0.0.1:{port}"
        with _running(Server(url, port, folder, command, signal.SIGKILL, _ping)) as server:
            yield server


def _ping(url: str) -> None:
    with redis.Redis.from_url(url, socket_timeout=2) as client:
        client.ping()


@contextmanager
def nginx(*ports: int) -> Iterator[Server]:
    """Run nginx before instances of the service on this machine, as their proxy."""
    port = free_port()
    instances = " ".join(f"server 127.0.0.1:{instance} max_fails=0;" for instance in ports)
    with nginx_of(PROXY.format(port=port, instances=instances), port) as server:
        yield server


@contextmanager
def nginx_of(configuration: str, port: int) -> Iterator[Server]:
    """Run nginx with these `server` blocks, of which one listens on the port."""
    files = {"nginx.conf": NGINX.format(servers=configuration)}
    files["uwsgi_params"] = Path("/etc/nginx/uwsgi_params").read_text()
    with own_folder(files) as folder:
        command = [program("nginx"), "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"]
        url = f"http://127.0.0.1:{port}"
        with _running(Server(url, port, folder, command, signal.SIGTERM, lambda _: _connect(port))) as server:
            yield server


def _connect(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), 2).close()


def program(name: str) -> str:
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *_PLACES]))
    assert found, f"There is no {name} here. bin/test installs it, or says what to install."
    return found


def launch(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Start a server's program in its folder, deaf to the terminal's Ctrl-C: only its `Server` ends it."""
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            command, cwd=folder, env=environment_without({}), stdout=log, stderr=log, process_group=0, **_ACCOUNT
        )


@contextmanager
def own_folder(files: Mapping[str, str]) -> Iterator[Path]:
    """Make a folder with these files for the account that the servers run as; pytest's own are root's alone."""
    with tempfile.TemporaryDirectory(prefix="sluice-") as name:
        folder = Path(name)
        for file, text in files.items():
            (folder / file).write_text(text)
        if _NOBODY:
            for path in (folder, *folder.iterdir()):
                os.chown(path, _NOBODY.pw_uid, _NOBODY.pw_gid)
        yield folder


@contextmanager
def _running(server: Server) -> Iterator[Server]:
    try:
        server.start()
        yield server
    finally:
        server.stop()
