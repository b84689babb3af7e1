"""The applications of docs/mounting.md: how each is prepared and started, and how one logs in there."""

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.client import Reply
from tests.mounting.browser import Browser
from tests.mounting.installed import Environment
from tests.processes import ROOT, Service, free_port, healthy, stop, wait_for

_TEXT = (ROOT / "docs" / "mounting.md").read_text()
_BLOCKS = re.findall(r'^```python\n("""([\w/.]+\.py): .*?)^```$', _TEXT, re.MULTILINE | re.DOTALL)
CODE = {file: code for code, file in _BLOCKS}
"""Each file of the document by its name, with which it begins: gunicorn's configuration, and then the examples."""
CONFIGURATION, *EXAMPLES = CODE
LINES = dict(zip(EXAMPLES, re.findall(r"^gunicorn .+$", _TEXT, re.MULTILINE), strict=True))
"""What starts each example."""


def password(name: str) -> str:
    return f"{name}'s password"


def _log_in(browser: Browser, name: str) -> Reply:
    return browser.submit("/login", name=name, password=password(name))


def _log_out(browser: Browser) -> Reply:
    return browser.submit("/logout")


def _log_in_at_django(browser: Browser, name: str) -> Reply:
    browser.get("/admin/login/")
    return browser.submit(
        "/admin/login/", username=name, password=password(name), csrfmiddlewaretoken=_django_token(browser)
    )


def _log_out_at_django(browser: Browser) -> Reply:
    return browser.submit("/admin/logout/", csrfmiddlewaretoken=_django_token(browser))


def _django_token(browser: Browser) -> str:
    """Return what Django wants to see in the forms of its own pages."""
    return next(cookie.value or "" for cookie in browser.cookies if cookie.name == "csrftoken")


def _prepare(_environment: Environment, folder: Path, file: str) -> None:
    """Make the folder of a file."""
    (folder / file).parent.mkdir(exist_ok=True)


def _prepare_django(environment: Environment, folder: Path, _file: str) -> None:
    """Make a project as Django's tutorial does, with two people who may log in at its admin site."""
    people = "from django.contrib.auth.models import User; " + "; ".join(
        f"User.objects.create_superuser({name!r}, password={password(name)!r}, pk={number})"
        for number, name in ((71, "alice"), (72, "bob"))
    )
    for line in (
        "django-admin startproject mysite .",
        "python manage.py migrate",
        f"python manage.py shell --command {shlex.quote(people)}",
    ):
        environment.run(line, folder, {}).check_returncode()


@dataclass(frozen=True)
class Example:
    """One of the document's examples: how it is prepared, how one logs in and out there, and who that is to Sluice."""

    file: str
    home: str = "/"
    prepare: Callable[[Environment, Path, str], None] = _prepare
    log_in: Callable[[Browser, str], Reply] = _log_in
    log_out: Callable[[Browser], Reply] = _log_out
    ids: tuple[str, str] = ("alice", "bob")
    at: str = ""
    """Where the file is put, if not at its own name."""


FLASK = Example("app.py")
PACKAGE = Example("app.py", at="app/__init__.py")
DJANGO = Example("mysite/wsgi.py", "/admin/", _prepare_django, _log_in_at_django, _log_out_at_django, ("71", "72"))
WSGI = Example("wsgi_host.py")


@dataclass(frozen=True)
class Host:
    """An example that runs."""

    example: Example
    environment: Environment
    folder: Path
    service: Service

    def browser(self, name: str = "") -> Browser:
        """Return a browser, in which somebody has logged in at the host if there is a name."""
        browser = Browser(self.service.port)
        if name:
            assert self.example.log_in(browser, name).status in (200, 302)
        return browser


def make(example: Example, environment: Environment, folder: Path) -> None:
    """Do in a folder what the document says."""
    file = example.at or example.file
    example.prepare(environment, folder, file)
    (folder / file).write_text(CODE[example.file])
    (folder / CONFIGURATION).write_text(CODE[CONFIGURATION])


@contextmanager
def running(example: Example, environment: Environment, folder: Path, variables: Mapping[str, str]) -> Iterator[Host]:
    """Start what was made in a folder."""
    port, log = free_port(), folder / "log"
    own = {"GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{port}", "SECRET_KEY": "made up", **variables}
    with log.open("ab") as out:
        process = subprocess.Popen(
            environment.command(LINES[example.file]),
            cwd=folder,
            env=environment.variables(own),
            stdout=out,
            stderr=out,
        )
    service = Service(f"http://127.0.0.1:{port}/sluice", port, process, log, folder / "instance" / "sluice.db")
    try:
        wait_for(lambda: healthy(service))
        yield Host(example, environment, folder, service)
    finally:
        stop(process)
