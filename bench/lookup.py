"""What it costs to know who asks, with which key and how often: in the worker's way, with gevent, on SQLite."""

import json
import sys
import tempfile
from pathlib import Path
from statistics import median
from subprocess import run

from bench import machine, report
from bench.servers import ROOT, VENV

ROUNDS, REQUESTS = 9, 400
TARGETS = {"remembered": 100, "not remembered": 400, "counted in the process": 50}
"""How much CPU a look-up may take, in microseconds, and both limits together."""

_MEASURE = """
from gevent import monkey; monkey.patch_all()
import json, sys, time
from itertools import cycle
import jwt
from flask import Request
from werkzeug.test import EnvironBuilder
from app.login import Login, claims
from app.config import Settings
from app.limits import Limiter
from app.store import Store, remembered

SECRET = "a secret that is long enough for HS256"
rounds, requests, database = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
settings = Settings(database_url=database, auth_jwt_secret=SECRET, auth_jwt_audience="a", auth_jwt_issuer="i")
store = Store(settings)
login = Login(settings, store, None)
_, token = store.tokens.create("alice")
for name in ("openai_api_key", "openai_organization_id", "groq_api_key", "mistral_api_key", "azure_openai_api_key"):
    store.profiles.set("alice", name, "sk-" + "x" * 160)
signed = jwt.encode({"sub": "alice", "aud": "a", "iss": "i", "exp": time.time() + 3600}, SECRET)

def look_up(credential):
    request = Request({**environ, "HTTP_AUTHORIZATION": "Bearer " + credential})
    return store.profiles.settings(login.user(request))["openai_api_key"]

def rounds_of(work):
    work()
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(requests):
            work()
        yield (time.process_time() - began) / requests * 1e6

limiter, users = Limiter(Settings(rate_limit="1000000/minute")), cycle(map(str, range(100)))
def count():
    user = next(users)
    limiter.hit(user)
    with limiter.slot(user):
        pass

environ = EnvironBuilder("/api/chat/openai", method="POST").get_environ()
found = {"the limits, counted in the process": [*rounds_of(count)]}
for kind, fresh in (("remembered", 10), ("not remembered", 0)):
    remembered.FRESH_SECONDS = fresh
    claims.CACHE_SECONDS = fresh
    for name, credential in (("bearer token", token), ("JWT, HS256", signed)):
        found[f"{name}, {kind}"] = [*rounds_of(lambda: look_up(credential))]
print(json.dumps(found))
"""


def lookup() -> int:
    """Measure, and write the part of the page; return the exit status: 1 over a target."""
    with tempfile.TemporaryDirectory() as folder:
        command = [f"{VENV}/bin/python", "-c", _MEASURE, str(ROUNDS), str(REQUESTS), f"sqlite:///{Path(folder)}/a.db"]
        done = run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, list[float]] = json.loads(done.stdout)
    report.finish("lookup", "\n".join(_lines(found)), whole=True)
    return 1 if any(_is_over(name, times) for name, times in found.items()) else 0


def _lines(found: dict[str, list[float]]) -> list[str]:
    facts = [f"- {line}" for line in machine.describe()]
    head = ["", "| who asks, and the key of the profile; and how often | CPU | target |", "|---|---|---|"]
    rows = [f"| {name} | {_range(times)} | {_target(name)} µs |" for name, times in found.items()]
    how = (
        f"\nMedian, lowest and highest of {ROUNDS} rounds of {REQUESTS} look-ups; CPU of all of the process's threads."
    )
    return [*facts, *head, *rows, how]


def _range(times: list[float]) -> str:
    return f"{median(times):.0f} ({min(times):.0f} to {max(times):.0f}) µs"


def _target(name: str) -> int:
    return TARGETS[name.rpartition(", ")[2]]


def _is_over(name: str, times: list[float]) -> bool:
    return median(times) > _target(name)
