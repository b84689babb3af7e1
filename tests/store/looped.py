"""The store in gevent's loop, as a worker has it: a process that asks as told, and tells how that went.

Run with `python -m gevent.monkey --module`, which patches before anything is imported. A line of its standard input is
the name of a function of `ASKED`, and a JSON object with the function's arguments; for each line it prints what came
of the asking.
"""

import json
import os
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from time import monotonic
from typing import Any, NamedTuple

import gevent
from gevent import monkey
from gevent.threadpool import ThreadPool
from sqlalchemy import Connection, text

from app import config
from app.failure import Failure
from app.store import Store, cache, database

NAME = "database.example"
NAME_SECONDS = 0.75
NOTICEABLE_SECONDS = 1


class Call(NamedTuple):
    """What came of one call, and after how many seconds."""

    outcome: str
    seconds: float


class Resolver:
    """A resolver that knows one name alone, and takes its time: in threads of its own, as gevent's own does."""

    def __init__(self) -> None:
        self._threads = ThreadPool(10)

    def getaddrinfo(self, host: str | bytes, port: Any, *_: object, **__: object) -> list[Any]:  # noqa: ANN401
        self._threads.apply(monkey.get_original("time", "sleep"), (NAME_SECONDS,))
        if host not in (NAME, NAME.encode()):
            raise socket.gaierror(socket.EAI_NONAME, f"unknown: {host!r}")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port or 0))]


class Ticker:
    """What else the loop has to do; `worst` is for how many seconds it could not, at worst."""

    def __init__(self) -> None:
        self.worst = 0.0
        gevent.spawn(self._tick)

    def _tick(self) -> None:
        while True:
            before = monotonic()
            gevent.sleep(0.01)
            self.worst = max(self.worst, monotonic() - before - 0.01)


def main() -> None:
    gevent.get_hub().resolver = Resolver()
    store, ticker = Store(config.read(os.environ)), Ticker()
    while line := gevent.get_hub().threadpool.apply(sys.stdin.readline):
        name, arguments = line.split(maxsplit=1)
        ticker.worst = 0.0
        calls = list(ASKED[name](store, **json.loads(arguments)))
        told = {
            "outcomes": Counter(call.outcome for call in calls),
            "slowest": max(call.seconds for call in calls),
            "slow": sum(call.seconds > NOTICEABLE_SECONDS for call in calls),
            "stuck": ticker.worst,
        }
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


def calls(store: Store, calls: int, sleep: float = 0) -> list[Call]:
    """Make calls at once, each of which the database is to take so many seconds for."""
    spawned = [gevent.spawn(_timed, partial(_echo, store, number, sleep)) for number in range(calls)]
    return [each.get() for each in spawned]


def met(store: Store, token: str) -> list[Call]:
    """Have the store know a user, by a token; take what it knows for old at once, and try again soon."""
    cache.FRESH_SECONDS, database.DOWN_SECONDS = 0, 1
    return [_timed(partial(_request, store, token))]


def known(store: Store, token: str, clients: int, seconds: float) -> list[Call]:
    """Have a user send one request after the other, in so many clients for so many seconds."""
    spawned = [gevent.spawn(list, _requests(store, token, monotonic() + seconds)) for _ in range(clients)]
    return [call for each in spawned for call in each.get()]


ASKED: dict[str, Callable[..., list[Call]]] = {"calls": calls, "met": met, "known": known}


def _echo(store: Store, number: int, sleep: float) -> str:
    def work(connection: Connection) -> int:
        statement = text("SELECT CAST(:number AS INTEGER) FROM pg_sleep(:sleep)")
        return int(connection.execute(statement, {"number": number, "sleep": sleep}).scalar_one())

    return "right" if store.database.run(work) == number else "another call's"


def _requests(store: Store, token: str, end: float) -> Iterator[Call]:
    while monotonic() < end:
        yield _timed(partial(_request, store, token))
        gevent.sleep(0.05)


def _request(store: Store, token: str) -> str:
    user = store.tokens.user(token)
    return "right" if user == "ada" and store.profiles.settings(user) == {"groq_api_key": "one"} else "wrong"


def _timed(ask: Callable[[], str]) -> Call:
    begun = monotonic()
    try:
        outcome = ask()
    except Failure as failure:
        outcome = failure.code
    return Call(outcome, monotonic() - begun)


if __name__ == "__main__":
    main()
