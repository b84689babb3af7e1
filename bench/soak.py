"""A long run with faults: memory and descriptors must stay, and no cut answer may look finished."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median
from time import monotonic, sleep

from bench import machine, report
from bench.cpu import LOAD_CORE
from bench.load import Job, Load, Reply
from bench.rivals import sluice
from bench.servers import VENV, Place, Running, free_port, process, running, wait
from bench.verdict import FAULTY, PACE, Question, judge, question

CLIENTS = 200
MINUTES = 10
SAMPLES = 120
TIDY_SECONDS = 3
"""How long the server may tidy up after the last client."""
MAX_GROWTH, MAX_MORE = 3 * 2**20, 10
"""How much more memory, and how many more descriptors, the last quarter may have than the second: less is noise."""
KEPT_CONNECTIONS = 100
"""How many connections to a provider the server keeps for the next request."""

# Shorter than the defaults, so that a stalled answer ends within the soak many times.
_SETTINGS = {"IDLE_TIMEOUT_SECONDS": "4", "FIRST_EVENT_TIMEOUT_SECONDS": "6", "COMMIT_SECONDS": "3"}


@dataclass(slots=True)
class Soak:
    """What was seen: how many replies were what, and samples of memory in bytes and of open descriptors."""

    minutes: float
    replies: Counter[str] = field(default_factory=Counter)
    memory: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)
    tracebacks: int = 0

    @property
    def wrong(self) -> Counter[str]:
        """The replies that were not as they must be."""
        return Counter({what: times for what, times in self.replies.items() if what.startswith("wrong")})


def soak(minutes: float, folder: Path) -> int:
    """Run it and tell of it; return the exit status."""
    with _simulator(folder) as port:
        place = Place(folder, free_port(), port)
        with running(
            sluice.KIND, place, _SETTINGS | {"OPENAI_BASE_URL": f"http://127.0.0.1:{port}/openai/v1"}
        ) as server:
            seen = _soak(server, minutes)
    log = (folder / "sluice.log").read_text(errors="replace")
    seen.tracebacks = log.count("Traceback (most recent call last)")
    report.finish("soak", _part(seen), whole=minutes >= MINUTES)
    if seen.tracebacks:
        print(log[log.index("Traceback") - 300 :][:3000])
    return 0 if all(met for met, _ in _verdicts(seen)) else 1


@contextmanager
def _simulator(folder: Path) -> Iterator[int]:
    port, log = free_port(), folder / "simulator.log"
    command = [f"{VENV}/bin/python", "-m", "app.simulator", "--port", str(port)]
    with process(command, {}, log, LOAD_CORE) as started:
        wait(started, port, "/", log)
        yield port


def _soak(server: Running, minutes: float) -> Soak:
    seen, load, end = Soak(minutes), Load(server.port), monotonic() + minutes * 60
    seen.before = server.tree.descriptors()

    def sample() -> None:
        seen.memory.append(server.tree.memory())
        seen.descriptors.append(sum(server.tree.descriptors().values()))
        if monotonic() < end:
            load.loop.at(monotonic() + minutes * 60 / SAMPLES, sample)

    for number in range(CLIENTS):
        asker = _Asker(Random(number), end, seen.replies)  # noqa: S311 - the same questions each time
        load.add(asker.jobs(), asker.take)
    load.loop.at(0, sample)
    load.run()
    sleep(TIDY_SECONDS)
    seen.after = server.tree.descriptors()
    return seen


class _Asker:
    """Asks one question after the other until the end, and judges the replies."""

    def __init__(self, chance: Random, end: float, replies: Counter[str]) -> None:
        self._chance, self._end, self._replies = chance, end, replies
        self._asked = Question("", "text/plain", "")

    def jobs(self) -> Iterator[Job]:
        while monotonic() < self._end:
            self._asked = question(self._chance)
            yield self._asked.job

    def take(self, _job: Job, reply: Reply) -> None:
        self._replies[judge(self._asked, reply)] += 1


def _part(seen: Soak) -> str:
    """Return what the page says of it."""
    facts = [
        *machine.describe(),
        f"{seen.minutes:g} minutes, {CLIENTS} clients, {seen.replies.total()} requests, half for text, half for events",
        f"{FAULTY:.0%} with a fault of the provider's or a reader that leaves; up to 120 words, {PACE} ms apart",
        *(f"{times} {what}" for what, times in sorted(seen.replies.items())),
        *(f"{'met' if met else '**not met**'}: {what}" for met, what in _verdicts(seen)),
    ]
    return "\n".join(f"- {line}" for line in facts)


def _verdicts(seen: Soak) -> list[tuple[bool, str]]:
    false = sum(times for what, times in seen.wrong.items() if "false success" in what)
    memory, descriptors = _quarters(seen.memory), _quarters(seen.descriptors)
    grown, more = memory[1] - memory[0], descriptors[1] - descriptors[0]
    polls = seen.after.get("eventpoll", 0) - seen.before.get("eventpoll", 0)
    sockets = seen.after.get("socket", 0) - seen.before.get("socket", 0)
    idle = f"afterwards {polls} event polls and {sockets} sockets more than before; {KEPT_CONNECTIONS} may be kept open"
    return [
        (not false, f"{false} false successes"),
        (not seen.wrong, f"{seen.wrong.total()} replies that were not as they must be"),
        (grown <= MAX_GROWTH, f"memory {_mib(memory[0])} in the second quarter, {_mib(memory[1])} in the last"),
        (more <= MAX_MORE, f"descriptors {descriptors[0]:.0f} in the second quarter, {descriptors[1]:.0f} in the last"),
        (not polls and sockets <= KEPT_CONNECTIONS, idle),
        (not seen.tracebacks, f"{seen.tracebacks} tracebacks in the log"),
    ]


def _quarters(samples: list[int]) -> tuple[float, float]:
    """Return the medians of the second and of the last quarter: the first is warming up."""
    size = max(len(samples) // 4, 1)
    return median(samples[size : 2 * size] or samples), median(samples[-size:])


def _mib(size: float) -> str:
    return f"{size / 2**20:.1f} MiB"
