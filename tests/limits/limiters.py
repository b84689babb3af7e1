"""What the limits' tests do with a limiter, also in processes of their own."""

import logging
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from threading import Lock, Thread
from time import monotonic, sleep

import pytest

from app.failure import Failure
from app.limits import Limiter
from tests.processes import ROOT, environment_without
from tests.servers import PASSWORD

SOON = 1.0
"""What is promised is 0.1 s; this is for a quiet machine, whatever else it does."""

GEVENT = "from gevent import monkey; monkey.patch_all()\n"
"""The first line of a script that runs as the service does."""

BEGIN = """
import os, sys, time
from app.failure import Code, Failure, Gone
from app.config import Settings
from app.limits import Limiter
limiter = Limiter(Settings(redis_url=sys.argv[1], max_streams_per_user=2), lease_seconds=1.5, pause_seconds=0.3)
"""
"""The next lines, which make a limiter at the URL that is the script's argument."""

PATIENT = """
from app.limits import shared
shared.TURNS = 100
"""
"""Those of a script whose Redis is well, as `_patient` has it."""


def command(script: str, url: str) -> list[str]:
    return [sys.executable, "-c", script, url]


def printed(script: str, url: str) -> list[str]:
    """Run a script in a process of its own and return the lines that it prints."""
    options = {"cwd": ROOT, "env": environment_without({}), "capture_output": True, "text": True, "timeout": 120}
    done = subprocess.run(command(script, url), check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr
    lines: list[str] = done.stdout.splitlines()
    return lines


def refused(work: Callable[[], object]) -> int:
    """See a request refused, and return after how many seconds another may come."""
    with pytest.raises(Failure) as refusal:
        work()
    assert (refusal.value.status, refusal.value.code) == (429, "rate_limited")
    assert refusal.value.message.endswith((".", "s."))
    return int(refusal.value.headers["Retry-After"])


def hits(limiter: Limiter, user: str = "user") -> int:
    """Hit until refused, and return how often there was room."""
    count = 0
    while True:
        try:
            limiter.hit(user)
        except Failure:
            return count
        count += 1


def seats(limiter: Limiter, user: str = "user") -> int:
    """Return how many slots are to be had."""
    with ExitStack() as taken:
        count = 0
        while is_taken(limiter.slot(user), taken):
            count += 1
    return count


def is_taken(slot: AbstractContextManager[None], taken: ExitStack) -> bool:
    try:
        taken.enter_context(slot)
    except Failure:
        return False
    return True


def took(work: Callable[[], object]) -> float:
    """Return how many seconds something takes."""
    started = monotonic()
    work()
    return monotonic() - started


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged, each line by its first words."""
    assert all(record.levelno == logging.WARNING and not record.exc_info for record in caplog.records)
    assert PASSWORD not in caplog.text
    return [record.getMessage().partition(",")[0] for record in caplog.records]


class Crowd:
    """Fifty who want the same user's slots, from several limiters, until each has had one twice."""

    def __init__(self, limiters: Sequence[Limiter]) -> None:
        self._limiters = limiters
        self._lock = Lock()
        self._inside = 0
        self.most_inside = 0

    def run(self) -> None:
        threads = [Thread(target=self._come_and_go, args=(number,)) for number in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _come_and_go(self, number: int) -> None:
        turns = 2
        while turns:
            try:
                with self._limiters[(number + turns) % len(self._limiters)].slot("user"):
                    self._stay()
                turns -= 1
            except Failure:
                sleep(0.005)

    def _stay(self) -> None:
        with self._lock:
            self._inside += 1
            self.most_inside = max(self.most_inside, self._inside)
        sleep(0.002)
        with self._lock:
            self._inside -= 1
