"""The numbers of all runs as a table, and what they say about the targets."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.measure import REASON, Numbers

Form = Callable[[float], str]


@dataclass(slots=True)
class Results:
    """The numbers of each server's runs, in the order of the runs; and why a server has none."""

    runs: dict[str, list[Numbers]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def values(self, server: str, name: str) -> list[float]:
        """Return one number of each run in which it was measured."""
        return [run[name] for run in self.runs.get(server, []) if name in run]

    def ratios(self, name: str, over: str) -> list[float]:
        """Return how many times another server's number Sluice's is, each within one run."""
        pairs = zip(self.values("sluice", name), self.values(over, name), strict=False)
        return [ours / theirs for ours, theirs in pairs if theirs > 0]


def table(results: Results) -> str:
    """Return a table in Markdown: a row for each number, a column for each server, the target last."""
    servers = [*results.runs]
    lines = [["", *servers, "target for Sluice"]]
    for label, name, form, target in ROWS:
        cells = [cell(results.values(server, name), form) for server in servers]
        if any(cells):
            lines.append([label, *(found or "-" for found in cells), target])
    return markdown(lines)


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown; its first line is the head."""
    head, *rows = lines
    lines = [head, ["---"] * len(head), *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    told = [" | ".join(part.ljust(width) for part, width in zip(line, widths, strict=True)) for line in lines]
    return "\n".join(f"| {row} |" for row in told)


def cell(values: list[float], form: Form) -> str:
    """Return the median, and from where to where the runs went."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return ""
    middle, low, high = form(median(known)), form(min(known)), form(max(known))
    return middle if low == high else f"{middle} ({low} to {high})"


def verdicts(results: Results) -> list[str]:
    """Return a line for each target that could be judged: met or not, and by which number."""
    judged = (verdict for judge in _JUDGES for verdict in judge(results))
    return [f"{'met' if met else '**not met**'}: {what}" for met, what in judged]


def reasons(results: Results) -> list[str]:
    """Return a line for each server of which answers were not whole: how many, and why."""
    lines = []
    for server, runs in results.runs.items():
        found: Counter[str] = Counter()
        for run in runs:
            found.update({name.removeprefix(REASON): int(run[name]) for name in run if name.startswith(REASON)})
        told = ", ".join(f"{_whole(times)} {reason}" for reason, times in found.most_common())
        lines += [f"{server}, answers not whole in all runs: {told}"] if told else []
    return lines


def _digits(number: int) -> Form:
    return lambda value: f"{value:.{number}f}"


def _whole(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ")


def _percent(value: float) -> str:
    return f"{value:.0%}"


ROWS: tuple[tuple[str, str, Form, str], ...] = (
    ("CPU of a 1-event answer, ms", "request_ms", _digits(3), "≤ 1.0, or ≤ 1/11 of LiteLLM's"),
    ("CPU of an event, 50 streams paced at 20 ms, µs", "paced_us", _digits(1), "≤ 3.5 times nginx's"),
    ("… without its share of the request, µs", "paced_net_us", _digits(1), ""),
    ("CPU of an event, the 50 streams in step, µs", "step_us", _digits(1), "≤ 3.0 times nginx's, optimised Python"),
    ("CPU of an event, unpaced, µs", "unpaced_us", _digits(1), ""),
    ("… without its share of the request, µs", "unpaced_net_us", _digits(1), ""),
    ("First byte later than the provider's, p50, ms", "first_p50_ms", _digits(2), "< 3"),
    ("First byte later than the provider's, p99, ms", "first_p99_ms", _digits(2), "< 15"),
    ("A paced answer takes, of the provider's 3.98 s, s", "paced_s", _digits(2), ""),
    ("Events a second at saturation", "unpaced_per_s", _whole, ""),
    ("… with the core busy for", "unpaced_busy", _percent, ""),
    ("Many streams at 1 event/s: open at once", "many_open", _whole, "2 000"),
    ("… memory of an open stream, KiB", "many_kib", _digits(1), "≤ 40"),
    ("… CPU of an event, µs", "many_us", _digits(1), ""),
    ("… answers not whole", "many_wrong", _whole, "0"),
    ("Other answers not whole", "wrong", _whole, "0"),
    ("Start to first answer, s", "start_s", _digits(2), ""),
    ("… its CPU, s", "start_cpu_s", _digits(2), ""),
    ("`import wsgi` in a new Python, its CPU, s", "import_cpu_s", _digits(2), "< 1.2"),
    ("… of it `create_app()`, s", "create_cpu_s", _digits(2), ""),
    ("Other work on the servers' core, at most", "others", _percent, "noise"),
    ("Events that the provider wrote late, at most, ms", "late_ms", _digits(1), "noise"),
)

Verdict = tuple[bool, str]


def _judge_event(name: str, limit: float, event: str) -> Callable[[Results], list[Verdict]]:
    def judge(results: Results) -> list[Verdict]:
        ratios = results.ratios(name, "nginx")
        sentence = f"{event} costs {cell(ratios, _digits(2))} times what nginx's does"
        return [(median(ratios) <= limit, sentence)] if ratios else []

    return judge


def _judge_request(results: Results) -> list[Verdict]:
    values, ratios = results.values("sluice", "request_ms"), results.ratios("request_ms", "litellm")
    if not values:
        return []
    share = f", 1/{1 / median(ratios):.1f} of LiteLLM's" if ratios else ""
    met = median(values) <= 1.0 or bool(ratios and median(ratios) <= 1 / 11)
    return [(met, f"a request costs {cell(values, _digits(2))} ms{share}")]


def _judge_below(name: str, limit: float, sentence: str, form: Form) -> Callable[[Results], list[Verdict]]:
    def judge(results: Results) -> list[Verdict]:
        values = results.values("sluice", name)
        return [(median(values) < limit, sentence.format(cell(values, form)))] if values else []

    return judge


def _judge_many(results: Results) -> list[Verdict]:
    asked, opened = results.values("sluice", "many_asked"), results.values("sluice", "many_open")
    wrong = sum(results.values("sluice", "many_wrong"))
    sentence = f"{cell(opened, _whole)} streams of {cell(asked, _whole)} were open at once, {_whole(wrong)} not whole"
    return [(opened == asked and not wrong, sentence)] if opened else []


def _judge_wrong(results: Results) -> list[Verdict]:
    values = results.values("sluice", "wrong")
    return [(not sum(values), f"{_whole(sum(values))} other answers were not whole")] if values else []


_JUDGES: tuple[Callable[[Results], list[Verdict]], ...] = (
    _judge_event("paced_us", 3.5, "a paced event"),
    _judge_event("step_us", 3.0, "an event in step"),
    _judge_request,
    _judge_below("first_p50_ms", 3, "the first byte comes {} ms later, p50", _digits(2)),
    _judge_below("first_p99_ms", 15, "the first byte comes {} ms later, p99", _digits(2)),
    _judge_below("many_kib", 40.05, "an open stream takes {} KiB", _digits(1)),
    _judge_below("import_cpu_s", 1.2, "`import wsgi` in a new Python takes {} s of CPU", _digits(2)),
    _judge_many,
    _judge_wrong,
)
