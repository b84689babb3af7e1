"""bench/RESULTS.md: the generated parts stand between markers, and what is written by hand stays."""

import re
from pathlib import Path

from bench import machine
from bench.measure import ONE_CLIENTS, PACED_CLIENTS, PACED_SPREAD, UNPACED_CLIENTS, Plan
from bench.rivals import KINDS
from bench.table import Results, reasons, table, verdicts
from bench.workloads import HOLD_SECONDS, SETTLE_SECONDS

PAGE = Path(__file__).parent / "RESULTS.md"

_NEW = """\
# What an answer costs

`bin/bench` measures, and writes what stands between markers here; the rest is written by hand.
"""
_HOW = """\
How it is measured. Each server runs alone on one core, with one worker; the load and the provider, a process that
writes answers rendered beforehand, share another. CPU is the kernel's process clock of all of the server's processes,
threads that have ended included; what the kernel does for the loopback is charged to whoever runs. The servers take
turns, in each run a new process, warmed up before; a cell is the median of the runs and, behind it, the lowest and the
highest. A ratio is taken within each run.

- 1-event answers: {one} clients, each asking again when it is answered, over kept connections. A request's cost is all
  of it: for Sluice also who asks, and the profile from SQLite.
- Paced: {paced} clients, each asking again, for 200 events at 20 ms. Their answers begin evenly spread over the length
  of one, and so their events are spread over the 20 ms: hardly two come at once, and each is a wake-up. The "CPU of an
  event" is all CPU of the workload divided by the events; "without its share of the request" takes off the CPU of a
  1-event answer for each answer, and divides by the events that are left.
- In step: the same, but the provider writes the events of all streams at the same moments, so that a server finds many
  at each wake-up.
- First byte: of the body, in the paced workload, with {paced} streams open and {arrivals:.1f} answers begun a second;
  the percentile through the server less the same percentile without a server; p99 is of {firsts} answers a run.
- Unpaced: {unpaced} clients, each asking again, for 200 events at once. Where the core was not busy all the time, the
  load was the limit, and the events a second are at least so many.
- Many streams: opened at an even rate, one event a second each, none ending before all are measured. Memory is the
  private memory of all processes, {held} s after the last was opened, less what it was before the first, divided
  by the streams that are open or wait for their first byte; buffers in the kernel are not in it.
- Every answer is compared with what the provider sent; "not whole" is one that was refused, was cut or differs."""


def tell(results: Results, plan: Plan, *, whole: bool) -> None:
    """Tell of a comparison."""
    finish("bench", _part(results, plan), whole=whole)


def finish(name: str, text: str, *, whole: bool) -> None:
    """Print a part of the page, and write it if nothing was left out of the run."""
    print(f"\n{text}\n", flush=True)
    if whole:
        _put(name, text)
    print(f"Written to {PAGE}" if whole else "Not written: only a whole run is.")


def _part(results: Results, plan: Plan) -> str:
    missing = [f"- {name} is not in the table: it {reason}." for name, reason in results.missing.items()]
    facts = [f"- {line}" for line in machine.describe()]
    versions = [f"- {name}: {version}; {KINDS[name].about}" for name, version in results.versions.items()]
    judged = [f"- {line}" for line in verdicts(results) + reasons(results)]
    how = _HOW.format(
        one=ONE_CLIENTS,
        unpaced=UNPACED_CLIENTS,
        paced=PACED_CLIENTS,
        arrivals=PACED_CLIENTS / PACED_SPREAD,
        firsts=PACED_CLIENTS * plan.paced,
        held=SETTLE_SECONDS + HOLD_SECONDS,
    )
    return "\n\n".join(
        "\n".join(part) for part in (facts + versions + missing, [table(results)], judged, [how]) if part
    )


def _put(name: str, text: str) -> None:
    """Put a part between its markers, behind the page's end if they are not there yet."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before = PAGE.read_text() if PAGE.exists() else _NEW
    if begin not in before:
        before += f"\n{begin}\n{end}\n"
    between = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    PAGE.write_text(between.sub(lambda _: f"{begin}\n{text}\n{end}", before))
