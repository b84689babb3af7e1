"""Sluice as it ships: the Procfile's line with one worker, the key in a profile in SQLite."""

import shlex
from functools import partial
from pathlib import Path
from subprocess import run
from types import MappingProxyType

from bench import readers, venvs
from bench.answers import MODEL
from bench.readers import Reader
from bench.servers import ROOT, Kind, Missing, Place

MAX_STREAMS = 2100


def kind(name: str, wire: str = "text/plain", read: Reader = readers.plain, root: Path = ROOT) -> Kind:
    """Return the Sluice of a tree, asked for text or for events."""
    form = "text" if read is readers.plain else "the AI SDK's UI stream"
    return Kind(
        name=name,
        about=f"the Procfile's line with one worker, the limits raised, the key in a profile in SQLite; {form}",
        install=partial(_version, root),
        command=partial(_command, root),
        environment=_environment,
        read=read,
        path="/api/chat/openai",
        chat=_chat,
        headers=MappingProxyType({"Accept": wire}),
        health="/healthz",
        root=root,
    )


def database(folder: Path) -> str:
    """Return the URL of the database in a folder."""
    return f"sqlite:///{folder / 'sluice.db'}"


def _version(root: Path) -> str:
    """Return the version of the code; bin/bench has installed what it needs."""
    commit = run(["git", "describe", "--always", "--dirty"], cwd=root, capture_output=True, text=True, check=False)
    return f"{commit.stdout.strip() or 'no commit'} ({venvs.versions(root / '.venv', 'gunicorn', 'gevent', 'openai')})"


def _command(root: Path, place: Place) -> list[str]:
    _set_key(root, place.folder)
    procfile = dict(line.split(": ", 1) for line in (root / "Procfile").read_text().splitlines())
    return shlex.split(procfile["web"])


def _set_key(root: Path, folder: Path) -> None:
    """Set the provider's key the way that users do, once."""
    if (folder / "sluice.db").exists():
        return
    command = [f"{root}/.venv/bin/python", *"-m flask --app wsgi profile set openai_api_key".split()]
    environment = {"DATABASE_URL": database(folder)}
    done = run(command, cwd=root, env=environment, input=b"sk-bench", capture_output=True, check=False)
    if done.returncode:
        raise Missing(f"takes no key: {done.stderr.decode().strip().splitlines()[-1]}")


def _environment(place: Place) -> dict[str, str]:
    """Return the settings; all others are the defaults."""
    return {
        "DATABASE_URL": database(place.folder),
        "MAX_STREAMS": str(MAX_STREAMS),
        "MAX_STREAMS_PER_USER": str(MAX_STREAMS),
        "RATE_LIMIT": "1000000/minute",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{place.upstream}/v1",
        "PORT": str(place.port),
        "WEB_CONCURRENCY": "1",
        "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{place.port}",
    }


def _chat(prompt: str) -> dict[str, object]:
    return {"chatSettings": {"model": MODEL}, "messages": [{"role": "user", "content": prompt}]}


KIND = kind("sluice")
UI = kind("sluice-ui", "text/event-stream", readers.ui)
