"""Sluice as it ships: the Procfile's line with one worker, the key in a profile in SQLite."""

import shlex
from functools import cache
from pathlib import Path
from subprocess import run
from types import MappingProxyType

from bench.answers import MODEL, Spec
from bench.servers import ROOT, VENV, Kind, Missing, Place

MAX_STREAMS = 2100


def _install() -> str:
    """Return the version of the code; bin/bench has installed what it needs."""
    commit = run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False)
    show = (
        "from importlib.metadata import version as v; print(*(f'{n} {v(n)}' for n in 'gunicorn gevent openai'.split()))"
    )
    packages = run([f"{VENV}/bin/python", "-c", show], capture_output=True, text=True, check=True)
    return f"{commit.stdout.strip() or 'no commit'} ({', '.join(_pairs(packages.stdout))})"


def _pairs(words: str) -> list[str]:
    found = words.split()
    return [" ".join(pair) for pair in zip(found[::2], found[1::2], strict=True)]


def _command(place: Place) -> list[str]:
    _set_key(place)
    return shlex.split(_procfile()["web"])


@cache
def _procfile() -> dict[str, str]:
    return dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())


def _set_key(place: Place) -> None:
    """Set the provider's key the way that users do."""
    command = [f"{VENV}/bin/flask", "--app", "wsgi", "profile", "set", "openai_api_key"]
    environment = {"DATABASE_URL": _database(place.folder)}
    done = run(command, cwd=ROOT, env=environment, input=b"sk-bench", capture_output=True, check=False)
    if done.returncode:
        raise Missing(f"takes no key: {done.stderr.decode().strip().splitlines()[-1]}")


def _database(folder: Path) -> str:
    return f"sqlite:///{folder / 'sluice.db'}"


def _environment(place: Place) -> dict[str, str]:
    """Return the settings; all others are the defaults."""
    return {
        "DATABASE_URL": _database(place.folder),
        "MAX_STREAMS": str(MAX_STREAMS),
        "MAX_STREAMS_PER_USER": str(MAX_STREAMS),
        "RATE_LIMIT": "1000000/minute",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{place.upstream}/v1",
        "PORT": str(place.port),
        "WEB_CONCURRENCY": "1",
        "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{place.port}",
    }


def _text(body: bytes, _spec: Spec) -> str:
    return body.decode("utf-8", "replace")


KIND = Kind(
    name="sluice",
    about="the Procfile's line with one worker, the limits raised, text answers, the key in a profile in SQLite",
    install=_install,
    command=_command,
    environment=_environment,
    text=_text,
    path="/api/chat/openai",
    chat=MappingProxyType({"chatSettings": {"model": MODEL}}),
    health="/healthz",
)
