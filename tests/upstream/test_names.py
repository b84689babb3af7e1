"""Look-ups that take long: whom they hold up, and whose they are until they end."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import monotonic
from typing import Any

import pytest

from app.failure import Failure
from app.upstream.names import MAX_LOOKUPS, MAX_LOOKUPS_PER_USER, Address, Names
from app.wait import wait_alone
from tests.processes import printed, wait_for

pytestmark = pytest.mark.usefixtures("_no_leak")

SOON = 10.0
BRIEFLY = 0.05
HERE = (socket.AF_INET, ("127.0.0.1", 80))


class Resolver:
    """The system's resolver: names that begin with `slow` are found when they may be."""

    def __init__(self) -> None:
        self.released = Event()
        self.asked: list[str] = []

    def look_up(self, host: str, port: int, **_: object) -> list[Any]:
        self.asked.append(host)
        if host.startswith("slow"):
            assert self.released.wait(SOON)
        if host.endswith("nowhere"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    made = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", made.look_up)
    yield made
    made.released.set()


@pytest.fixture
def names(resolver: Resolver) -> Iterator[Names]:
    """The look-ups; they have ended when the test has."""
    made = Names()
    yield made
    resolver.released.set()
    ended = monotonic() + SOON
    while made._running:  # noqa: SLF001 - nobody waits for them any more
        assert monotonic() < ended


def find(names: Names, host: str, user: str | None = None, seconds: float = SOON) -> list[Address]:
    return names.addresses(host, 80, monotonic() + seconds, wait_alone, user)


def give_up(names: Names, host: str, user: str | None) -> None:
    with pytest.raises(TimeoutError):
        find(names, host, user, BRIEFLY)


def refusal(names: Names, host: str, user: str) -> Failure:
    with pytest.raises(Failure) as failure:
        find(names, host, user)
    return failure.value


def test_slow_names_of_one_user_hold_up_nobody_else(names: Names) -> None:
    for number in range(MAX_LOOKUPS_PER_USER):
        give_up(names, f"slow{number}", "ada")
    for user in ("bob", None):
        assert find(names, "quick", user) == [HERE]


def test_a_look_up_counts_until_it_ends_though_nobody_waits(names: Names, resolver: Resolver) -> None:
    for number in range(MAX_LOOKUPS_PER_USER):
        give_up(names, f"slow{number}", "ada")
    failure = refusal(names, "quick", "ada")
    assert (failure.status, failure.code, failure.headers) == (429, "rate_limited", {"Retry-After": "10"})
    assert "endpoint" in failure.message
    wait_for(lambda: len(resolver.asked) == MAX_LOOKUPS_PER_USER)
    resolver.released.set()
    assert find(names, "slow0", "ada") == [HERE]
    ended = monotonic() + SOON
    while len(names._running) >= MAX_LOOKUPS_PER_USER:  # noqa: SLF001 - the other one ends by itself
        assert monotonic() < ended
    assert find(names, "quick", "ada") == [HERE]


def test_all_who_ask_for_a_name_at_once_share_one_look_up(names: Names, resolver: Resolver) -> None:
    for _ in range(3 * MAX_LOOKUPS_PER_USER):
        give_up(names, "slow", "ada")
    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(find, names, "slow", "ada") for _ in range(20)]
        resolver.released.set()
        assert [one.result() for one in asked] == [[HERE]] * 20
    assert resolver.asked[0] == "slow"
    assert len(resolver.asked) <= 1 + 20  # those who came when it had ended ask anew


def test_users_together_have_a_bound_and_the_operator_has_none(names: Names) -> None:
    for number in range(MAX_LOOKUPS):
        give_up(names, "slow", f"user{number}")
    failure = refusal(names, "quick", "ada")
    assert (failure.status, failure.code) == (503, "shed")
    for number in range(3 * MAX_LOOKUPS_PER_USER):
        give_up(names, f"slow{number}", None)
    assert find(names, "quick") == [HERE]


def test_a_name_that_is_not_found_is_told_to_all_who_asked(names: Names, resolver: Resolver) -> None:
    with ThreadPoolExecutor(5) as pool:
        asked = [pool.submit(find, names, "slow-nowhere", "ada") for _ in range(5)]
        resolver.released.set()
        for one in asked:
            with pytest.raises(socket.gaierror, match="not known"):
                one.result()


def test_slow_names_of_users_take_no_thread_of_the_loop() -> None:
    """Gevent has ten for all the names of a process, the database's among them."""
    said = printed("tests.upstream.slow_names", is_patched=True)
    assert said.split("\n")[:4] == ["True", "('127.0.0.1', 80)", "('127.0.0.1', 80)", "('127.0.0.1', 80) True"]
