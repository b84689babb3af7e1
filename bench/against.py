"""This tree against another revision of it, with the same code against itself as the control."""

from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median, quantiles

from bench import machine, trees
from bench.measure import Numbers, Plan, measure
from bench.rivals import sluice
from bench.servers import Kind, upstream
from bench.start import start
from bench.table import markdown

STARTS = 5
STREAMS = 500
"""How many streams are open when their memory is measured: fewer than in the comparison, which takes longer."""

NUMBERS = {
    "request_ms": "CPU of a 1-event answer, ms",
    "step_us": "CPU of an event, 50 streams in step at 20 ms, µs",
    "many_kib": f"memory of an open stream, {STREAMS} streams, KiB",
    "import_cpu_s": "`import wsgi` in a new Python, its CPU, s",
    "create_cpu_s": "… of it `create_app()`, s",
}
_HOW = """\
A ratio is taken between the starts of one turn; a cell has the median of the turns and, behind it, the quartiles. The
control is this tree, copied and started twice. "Not resolved" is a median that is no further from 1 than the furthest
of the control's ratios."""


@dataclass(frozen=True, slots=True)
class Ratios:
    """The ratios of pairs of numbers, one pair a turn."""

    each: list[float]

    @property
    def median(self) -> float:
        """The median."""
        return median(self.each)

    @property
    def band(self) -> tuple[float, float]:
        """From where to where the ratio of equal things goes: it is chance which of the two is above the line."""
        widest = max(max(ratio, 1 / ratio) for ratio in self.each)
        return 1 / widest, widest

    def __str__(self) -> str:
        """Return the median and the quartiles."""
        low, _, high = quantiles(self.each, n=4, method="inclusive") if len(self.each) > 1 else self.each * 3
        return f"{self.median:.2f} ({low:.2f} to {high:.2f})"


def against(revision: str, starts: int, plan: Plan, folder: Path) -> int:
    """Measure both sides and the control in turns, and print the table; return the exit status."""
    sides = [
        sluice.kind(name, root=trees.write(folder / name, at))
        for name, at in (("this", ""), ("control", ""), ("other", revision))
    ]
    found: dict[str, list[Numbers]] = {side.name: [] for side in sides}
    with upstream(folder) as port:
        for turn in range(starts):
            print(f"Start {turn + 1} of {starts} ...", flush=True)
            for name, numbers in _turn(sides[turn % 3 :] + sides[: turn % 3], plan, folder, port).items():
                found[name].append(numbers)
    print("\n".join(f"- {fact}" for fact in machine.describe()))
    print(f"\n{table(found, revision)}\n\n{_HOW}\n")
    runs = [numbers for side in found.values() for numbers in side]
    wrong = sum(numbers["wrong"] + numbers["many_wrong"] for numbers in runs)
    others = max(numbers["others"] for numbers in runs)
    print(f"Answers not whole: {wrong:.0f}. Other work on the servers' core, at most: {others:.0%}.")
    return 1 if wrong else 0


def _turn(sides: list[Kind], plan: Plan, folder: Path, port: int) -> dict[str, Numbers]:
    """Measure one thing of every side before the next: what is compared is then less than a minute apart."""
    numbers = {side.name: start(side.root) for side in sides}
    for workload in ("step", "many"):
        for side in sides:
            files = folder / f"{side.name}.files"
            files.mkdir(exist_ok=True)
            own = replace(plan, workloads=(workload,), many=min(plan.many, STREAMS))
            numbers[side.name] |= measure(side, files, port, own)
    return numbers


def table(found: dict[str, list[Numbers]], revision: str) -> str:
    """Return the table: a row for each number."""
    rows = [["", revision, "this tree", f"this / {revision}", "control", ""]]
    for name, label in NUMBERS.items():
        ratio, control = (_ratios(found, name, *pair) for pair in (("this", "other"), ("control", "this")))
        values = [f"{median(numbers[name] for numbers in found[side]):.3g}" for side in ("other", "this")]
        rows.append([label, *values, str(ratio), str(control), verdict(ratio, control)])
    return markdown(rows)


def verdict(ratio: Ratios, control: Ratios) -> str:
    """Say whether a ratio is another one than that of equal things; fewer starts than usual cannot tell."""
    if len(ratio.each) < STARTS:
        return "too few starts"
    low, high = control.band
    return "not resolved" if low <= ratio.median <= high else "resolved"


def _ratios(found: dict[str, list[Numbers]], name: str, side: str, over: str) -> Ratios:
    pairs = zip(found[side], found[over], strict=True)
    return Ratios([ours[name] / theirs[name] for ours, theirs in pairs])
