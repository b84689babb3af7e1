"""The workloads: who asks when for what, and what was seen of it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import monotonic, sleep

from bench.answers import Spec
from bench.cpu import SERVER_CORE, busy
from bench.load import Job, Load, Reply
from bench.servers import Running

ONE, UNPACED, PACED, IN_STEP = Spec(1), Spec(200), Spec(200, 20), Spec(200, 20, step=True)
SETTLE_SECONDS, HOLD_SECONDS, LATE_SECONDS = 5, 10, 30
OPENED_PER_SECOND, SLOW_PER_SECOND = 200, 25
REST_SECONDS = 0.2
"""How long a server may tidy up after the last answer before its CPU is read."""


@dataclass(slots=True)
class Seen:
    """What was seen of a workload: CPU and wall time in seconds, and what was not as it should be."""

    answers: int = 0
    events: int = 0
    cpu: float = 0
    seconds: float = 0
    others: float = 0
    """The part of the time in which other processes were on the servers' core."""
    firsts: list[float] = field(default_factory=list)
    lengths: list[float] = field(default_factory=list)
    """How long each answer took until its first byte, and until its last."""
    wrong: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Crowd:
    """What was seen of many open streams."""

    open: int = 0
    waiting: int = 0
    """Streams that were asked for and have not begun."""
    bytes_before: int = 0
    bytes_open: int = 0
    cpu_per_event: float = 0
    wrong: Counter[str] = field(default_factory=Counter)


class Judge:
    """Keeps the replies, and says afterwards which are not the answer that was asked for."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        self.firsts: list[float] = []
        self.lengths: list[float] = []
        self._endings: Counter[tuple[int, bool, bytes]] = Counter()

    def take(self, _job: Job, reply: Reply) -> None:
        """Keep one reply; looking at it comes after the measurement."""
        self.firsts.append(reply.first)
        self.lengths.append(reply.seconds)
        self._endings[reply.status, reply.clean, reply.body] += 1

    def wrong(self, server: Running, spec: Spec) -> Counter[str]:
        """Count what was wrong, by what it was."""
        found: Counter[str] = Counter()
        for (status, clean, body), times in self._endings.items():
            if status != 200:
                found[f"status {status}" if status else "no answer"] += times
            elif not clean:
                found["cut"] += times
            elif server.kind.read(Reply(status, clean, parts=[body])) != (spec.text, True, False):
                found["wrong text"] += times
        return found


def repeat(server: Running, spec: Spec, clients: int, answers: int, spread: float = 0) -> Seen:
    """Have clients ask for one answer after the other; the first of each are spread over so many seconds."""
    request, load, judge = server.kind.request(spec), Load(server.port), Judge()
    began = monotonic()

    def jobs(number: int) -> Iterator[Job]:
        yield Job(request, began + spread * number / clients)
        yield from [Job(request)] * (answers - 1)

    for number in range(clients):
        load.add(jobs(number), judge.take)
    used, core, began = server.tree.cpu(), busy(SERVER_CORE), monotonic()
    load.run()
    seconds = monotonic() - began
    sleep(REST_SECONDS)
    used = server.tree.cpu() - used
    others = max(busy(SERVER_CORE) - core - used, 0) / (seconds + REST_SECONDS)
    total = clients * answers
    firsts, lengths, wrong = judge.firsts, judge.lengths, judge.wrong(server, spec)
    return Seen(total, total * spec.events, used, seconds, others, firsts, lengths, wrong)


def crowd(server: Running, streams: int) -> Crowd:
    """Open many streams of one event a second, and look at the server while all are open."""
    opening = streams / (SLOW_PER_SECOND if server.kind.slow else OPENED_PER_SECOND)
    spec = Spec(int(opening + SETTLE_SECONDS + HOLD_SECONDS) + 3, 1000)
    request, load, judge, seen = server.kind.request(spec), Load(server.port), Judge(), Crowd()
    marks: list[tuple[float, float]] = []

    def mark() -> None:
        seen.open = load.begun - len(judge.firsts)
        seen.waiting = load.running - seen.open
        seen.bytes_open = server.tree.memory()
        marks.append((monotonic(), server.tree.cpu()))

    seen.bytes_before, began = server.tree.memory(), monotonic()
    for number in range(streams):
        load.add(iter([Job(request, began + opening * number / streams)]), judge.take)
    load.loop.at(began + opening + SETTLE_SECONDS, mark)
    load.loop.at(began + opening + SETTLE_SECONDS + HOLD_SECONDS, mark)
    load.loop.at(began + opening + spec.events + LATE_SECONDS, load.loop.stop)
    load.run()
    if len(marks) == 2:  # otherwise all streams had ended before
        (start, before), (end, after) = marks
        seen.cpu_per_event = (after - before) / max(seen.open * (end - start), 1)
    seen.wrong = judge.wrong(server, spec)
    seen.wrong["unfinished"] += streams - len(judge.firsts)
    return seen
