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


def lookup() -> int:
    """Measure, and write the part of the page; return the exit status: 1 over a target."""
    found = measure(ROUNDS, REQUESTS)
    report.finish("lookup", "\n".join(_lines(found)), whole=True)
    return 1 if any(_is_over(name, times) for name, times in found.items()) else 0


def measure(rounds: int, requests: int) -> dict[str, list[float]]:
    """Return the microseconds of CPU of each round, by what was done."""
    with tempfile.TemporaryDirectory() as folder:
        command = [f"{VENV}/bin/python", *"-m gevent.monkey --module bench.lookup_worker".split()]
        numbers = [str(rounds), str(requests), f"sqlite:///{Path(folder)}/a.db"]
        done = run([*command, *numbers], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, list[float]] = json.loads(done.stdout)
    return found


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
