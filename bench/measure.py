"""One run of one server: its workloads, as numbers by name."""

import json
import math
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from bench.cpu import Tree
from bench.rivals.nginx import KIND as NGINX
from bench.servers import Kind, Place, Running, free_port, get, running
from bench.workloads import IN_STEP, ONE, PACED, UNPACED, Seen, crowd, repeat

Numbers = dict[str, float]
"""What was measured, by name; what is missing was not. Units are at the end of the names, `_us` of one event."""

REASON = "not whole: "
"""What stands before the name of a number that counts answers which were not whole, by why."""

WORKLOADS = ("one", "unpaced", "paced", "step", "many")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of each workload: the answers of each client, and how many streams are many."""

    workloads: tuple[str, ...] = WORKLOADS
    one: int = 250
    unpaced: int = 25
    paced: int = 5
    many: int = 2000


FULL = Plan()
QUICK = Plan(one=60, unpaced=8, paced=1, many=400)

ONE_CLIENTS, UNPACED_CLIENTS, PACED_CLIENTS = 8, 16, 50
IN_STEP_ANSWERS = 2
PACED_SPREAD = PACED.events * PACED.pace / 1000 + 0.02
"""The first answers begin evenly over the length of one, and each 0.4 ms later within the pace than the one before."""


@dataclass(frozen=True, slots=True)
class Direct:
    """How soon the provider itself answers: what a server adds is above this. In seconds."""

    p50: float
    p99: float


def direct(upstream: int, plan: Plan) -> Direct:
    """Ask the provider without a server between, as if nginx were there."""
    nobody = Running(NGINX, upstream, Tree(os.getpid()))
    seen = repeat(nobody, PACED, PACED_CLIENTS, min(plan.paced, IN_STEP_ANSWERS), PACED_SPREAD)
    return Direct(*_percentiles(seen))


def measure(kind: Kind, folder: Path, upstream: int, plan: Plan, base: Direct | None = None) -> Numbers:
    """Start a server, run the workloads, and stop it. Many streams have a process of their own.

    The time to the first byte is told only with what it takes without a server.
    """
    numbers: Numbers = {}
    place = Place(folder, free_port(), upstream)
    if {*plan.workloads} - {"many"}:
        with running(kind, place) as server:
            numbers |= {"start_s": server.started, "start_cpu_s": server.tree.cpu()}
            numbers |= _answers(server, upstream, plan, base)
    if "many" in plan.workloads:
        with running(kind, place) as server:
            repeat(server, ONE, ONE_CLIENTS, 20)
            numbers |= _many(server, plan.many)
    return numbers


def _answers(server: Running, upstream: int, plan: Plan, base: Direct | None) -> Numbers:
    repeat(server, ONE, ONE_CLIENTS, 25)
    repeat(server, UNPACED, ONE_CLIENTS, 2)
    one = repeat(server, ONE, ONE_CLIENTS, plan.one)
    numbers = {"request_ms": one.cpu / one.answers * 1e3}
    workloads = [one]
    if "unpaced" in plan.workloads:
        seen = repeat(server, UNPACED, UNPACED_CLIENTS, plan.unpaced)
        workloads.append(seen)
        numbers |= _events("unpaced", seen, one)
        numbers |= {"unpaced_per_s": seen.events / seen.seconds, "unpaced_busy": seen.cpu / seen.seconds}
    if "paced" in plan.workloads:
        seen = repeat(server, PACED, PACED_CLIENTS, plan.paced, PACED_SPREAD)
        workloads.append(seen)
        numbers |= _events("paced", seen, one) | {"paced_s": median(seen.lengths)}
        if base:
            p50, p99 = _percentiles(seen)
            numbers |= {"first_p50_ms": (p50 - base.p50) * 1e3, "first_p99_ms": (p99 - base.p99) * 1e3}
    if "step" in plan.workloads:
        seen = repeat(server, IN_STEP, PACED_CLIENTS, min(plan.paced, IN_STEP_ANSWERS), PACED_SPREAD)
        workloads.append(seen)
        numbers["step_us"] = seen.cpu / seen.events * 1e6
    wrong = sum((seen.wrong for seen in workloads), Counter())
    numbers |= _reasons(wrong) | {"wrong": wrong.total()}
    numbers["others"] = max(seen.others for seen in workloads)
    numbers["late_ms"] = json.loads(get(upstream, "/"))["latest"] * 1e3
    return numbers


def _events(name: str, seen: Seen, one: Seen) -> Numbers:
    """Say what an event costs, with its share of the request, and without: as if the rest of a 1-event answer."""
    further = seen.cpu - seen.answers * one.cpu / one.answers
    return {
        f"{name}_us": seen.cpu / seen.events * 1e6,
        f"{name}_net_us": further / (seen.events - seen.answers) * 1e6,
    }


def _many(server: Running, streams: int) -> Numbers:
    seen = crowd(server, streams)
    grown = seen.bytes_open - seen.bytes_before
    return _reasons(seen.wrong) | {
        "many_asked": streams,
        "many_open": seen.open,
        "many_kib": grown / 1024 / max(seen.open + seen.waiting, 1),
        "many_us": seen.cpu_per_event * 1e6,
        "many_wrong": seen.wrong.total(),
    }


def _reasons(wrong: Counter[str]) -> Numbers:
    return {f"{REASON}{reason}": times for reason, times in wrong.items() if times}


def _percentiles(seen: Seen) -> tuple[float, float]:
    """Return the 50th and the 99th of the times to the first byte."""
    firsts = [first for first in seen.firsts if not math.isnan(first)]
    cuts = quantiles(firsts, n=100, method="inclusive") if len(firsts) > 1 else [math.nan] * 99
    return cuts[49], cuts[98]
