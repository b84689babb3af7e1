"""The WSGI servers that the battery runs on, and what each of them keeps of what is promised."""

import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from tests import servers
from tests.hosts import page
from tests.processes import Processes, Service, free_port

APACHE = """
ServerRoot {folder}
ServerName localhost
DefaultRuntimeDir {folder}
PidFile {folder}/pid
ErrorLog /dev/stderr
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule wsgi_module /usr/lib/apache2/modules/mod_wsgi.so
WSGISocketPrefix {folder}/wsgi
Timeout 3
ServerLimit 1
StartServers 1
ThreadsPerChild 64
MaxRequestWorkers 64
"""
"""What Debian's own configuration has beside the page's, with a shorter time for a request to come."""


AS_NOBODY = (
    "/usr/bin/setpriv --reuid nobody --regid nogroup --clear-groups --inh-caps +dac_override "
    "--ambient-caps +dac_override "
    if os.geteuid() == 0
    else ""
)
"""Apache's processes may not be root, but have to read this folder, wherever it is."""


Start = Callable[[Processes, Mapping[str, str], Path], AbstractContextManager[Service]]


@dataclass(frozen=True)
class Kind:
    """What is expected of one server, in seconds where it is a time."""

    start: Start
    shows_cuts: bool = True
    shows_cuts_1_0: bool = True
    feels_leaves: bool = True
    drains: bool = True
    """Whether chats under way may finish when it stops, and those that do not tell why."""
    drain_seconds: float = 3
    chunked: int = 200
    """The status of a question in chunks."""
    late: int | None = 408
    """The status of a question whose body stalls; None where only the server's own clock ends that."""
    survives_schemes: bool = True
    """Whether an `X-Forwarded-Proto` that is no UTF-8 leaves the process alone."""
    logs_cuts: bool = False
    """Whether the server logs the exception that is a cut."""
    ending: signal.Signals = signal.SIGTERM
    """What stops it for the last test."""


def line(text: str) -> Start:
    """Start a line of the page."""
    assert text in page.PAGE.read_text(), text
    return lambda processes, environment, _: nullcontext(
        processes.fresh_service(environment, text.replace(page.PORT, "{port}"))
    )


@contextmanager
def uwsgi(processes: Processes, environment: Mapping[str, str], folder: Path, more: str = "") -> Iterator[Service]:
    """Start uWSGI with the page's file, with a shorter time for a request to come."""
    file = folder / "uwsgi.ini"
    file.write_text(page.here(page.block("ini", "http-socket"), "$(PORT)", page.system_environment(folder / "python")))
    command = f"{servers.program('uwsgi_python3')} --ini {file} --no-orphans --socket-timeout 1 {more}"
    yield processes.fresh_service(environment, command)


@contextmanager
def nginx(processes: Processes, environment: Mapping[str, str], folder: Path) -> Iterator[Service]:
    """Start uWSGI as above, and nginx before it with the page's block."""
    own, inner = free_port(), free_port()
    text = page.block("nginx", "uwsgi_pass").replace("listen 80", f"listen 127.0.0.1:{own}")
    with (
        uwsgi(processes, environment, folder, f"--socket 127.0.0.1:{inner}") as service,
        servers.nginx_of(text.replace("8001", str(inner)), own) as proxy,
    ):
        yield replace(service, port=proxy.port, url=proxy.url)


def apache(text: str) -> Start:
    """Start Apache with this beside what every Apache needs, as somebody who may not be root but reads all files."""

    @contextmanager
    def start(processes: Processes, environment: Mapping[str, str], folder: Path) -> Iterator[Service]:
        local = text.replace(f"Listen {page.PORT}", f"Listen 127.0.0.1:{page.PORT}")
        own = page.here(local, "${PORT}", page.system_environment(folder / "python"))
        (folder / "apache.conf").write_text(APACHE.format(folder=folder) + own)
        command = f"{servers.program('apache2')} -f {folder}/apache.conf -DFOREGROUND"
        yield processes.fresh_service(environment, AS_NOBODY + command)

    return start


MOD_WSGI = page.block("apache", "WSGIDaemonProcess")
EMBEDDED = f"WSGIPythonHome {page.FOLDER}/.venv\nWSGIPythonPath {page.FOLDER}\n" + re.sub(
    "WSGIDaemonProcess.*|process-group=[^ ]+", "", MOD_WSGI
)

KINDS = {
    "gthread": Kind(line(page.block("", "--config /dev/null").strip()), late=None),
    "gthread with the conf": Kind(line("gunicorn --worker-class gthread --threads 100 wsgi:app")),
    "waitress": Kind(
        line("waitress-serve --threads 100 --max-request-body-size 11000000 --listen 127.0.0.1:8000 wsgi:app"),
        late=None,
    ),
    "uwsgi": Kind(uwsgi, drains=False, chunked=411, survives_schemes=False),
    "nginx and uwsgi": Kind(nginx, shows_cuts_1_0=False, drains=False, chunked=411, late=None),
    "mod_wsgi": Kind(
        apache(MOD_WSGI),
        shows_cuts=False,
        shows_cuts_1_0=False,
        feels_leaves=False,
        drain_seconds=1.5,
        chunked=411,
        ending=signal.SIGUSR1,
    ),
    "mod_wsgi embedded": Kind(
        apache(EMBEDDED), shows_cuts_1_0=False, feels_leaves=False, drains=False, chunked=411, logs_cuts=True
    ),
}
