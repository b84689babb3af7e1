"""All runs of all servers, in turns."""

from dataclasses import replace
from pathlib import Path

from bench.measure import Plan, direct, measure
from bench.rivals import KINDS
from bench.servers import Kind, Missing, upstream
from bench.start import start
from bench.table import Results


def compare(names: list[str], runs: int, plan: Plan, folder: Path) -> Results:
    """Run the servers one after the other, and begin each run with the next of them."""
    results = Results()
    kinds = [kind for name in names if (kind := _installed(KINDS[name], results))]
    for number in range(runs):
        with upstream(folder) as port:
            base = direct(port, plan)
            first = number % max(len(kinds), 1)
            for kind in kinds[first:] + kinds[:first]:
                print(f"Run {number + 1} of {runs}: {kind.name} ...", flush=True)
                try:
                    numbers = measure(kind, folder, port, _for(kind, number, plan), base)
                except Missing as missing:
                    results.missing[kind.name] = f"{missing} (run {number + 1})"
                else:
                    results.runs[kind.name].append(numbers | (start(kind.root) if kind.name == "sluice" else {}))
    return results


def _installed(kind: Kind, results: Results) -> Kind | None:
    """Return a server that can be run; note its version, or why it cannot."""
    try:
        results.versions[kind.name] = kind.install()
    except Missing as missing:
        results.missing[kind.name] = str(missing)
        return None
    results.runs[kind.name] = []
    return kind


def _for(kind: Kind, number: int, plan: Plan) -> Plan:
    """Leave many streams out of a slow server's further runs, which would take most of the time."""
    few = tuple(name for name in plan.workloads if name != "many")
    return replace(plan, workloads=few) if kind.slow and number else plan
