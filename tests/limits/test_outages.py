"""What becomes of the limits while Redis is away, and when it is back."""

from contextlib import ExitStack
from threading import Thread
from time import sleep
from urllib.parse import urlsplit

import pytest
from redis import Redis

from app.limits import shared
from app.limits.shared import Breaker, State
from tests.far import Far, Peer
from tests.machine import slack
from tests.processes import wait_for
from tests.servers import Server

from .conftest import Make
from .limiters import BEGIN, GEVENT, PATIENT, SOON, hits, is_taken, printed, seats, took, warnings


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for half a second: the machine may be busy while Redis is well."""
    monkeypatch.setattr(shared, "TURNS", 25)


def together(threads: list[Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_redis_may_go_and_come_back(
    make: Make, redis_server: Server, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Before, everything is counted together, during it alone, and after it together again, with no restart of ours."""
    one, other = make(redis_url, rate_limit="3/minute"), make(redis_url, rate_limit="3/minute")
    for turn in range(2):
        before, during, after = (f"{when} {turn}" for when in ("before", "during", "after"))
        assert (hits(one, before), hits(other, before)) == (3, 0)
        with redis_server.stopped():
            assert (hits(one, during), hits(other, during)) == (3, 3)
            assert (one.shared, other.shared) == (False, False)
        wait_for(lambda: one.shared and other.shared)
        assert (hits(one, after), hits(other, after)) == (3, 0)
        assert (one.fallbacks, other.fallbacks) == (turn + 1, turn + 1)
    once = [*["Redis cannot be used"] * 2, *["Redis can be used again"] * 2]
    assert warnings(caplog) == once * 2


def test_what_redis_counted_counts_on_without_it(make: Make, redis_server: Server, redis_url: str) -> None:
    limiter = make(redis_url, rate_limit="3/minute")
    limiter.hit("user")
    limiter.hit("user")
    with redis_server.paused():
        assert hits(limiter) == 1
    wait_for(lambda: limiter.shared)
    assert hits(limiter) == 0


def test_slots_held_through_an_outage_are_known_after_it(make: Make, redis_server: Server, redis_url: str) -> None:
    """One is given back in it, one is taken in it; and Redis has lost everything."""
    limiter = make(redis_url, max_streams_per_user=4)
    with ExitStack() as given_back, ExitStack() as taken:
        for slots in (given_back, taken, taken):
            assert is_taken(limiter.slot("user"), slots)
        with redis_server.stopped():
            given_back.close()
            assert is_taken(limiter.slot("user"), taken)
        wait_for(lambda: limiter.shared)
        assert seats(make(redis_url, max_streams_per_user=4)) == 1
    wait_for(lambda: seats(make(redis_url, max_streams_per_user=4)) == 4)


def test_nobody_waits_for_a_redis_that_is_known_to_fail(make: Make, redis_server: Server, redis_url: str) -> None:
    limiter = make(redis_url, pause=60, rate_limit="1000/minute")
    with redis_server.paused():
        limiter.hit("user")
        assert took(lambda: hits(limiter, "another")) < SOON * slack()
        assert took(lambda: [seats(limiter, f"{number}") for number in range(200)]) < SOON * slack()


def test_one_request_probes_redis_and_no_other_waits(
    make: Make, redis_server: Server, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "TURNS", 25)
    limiter = make(redis_url, pause=0.5)
    with redis_server.paused():
        limiter.hit("user")
        sleep(0.5)
        times: list[float] = []
        threads = [Thread(target=lambda: times.append(took(lambda: limiter.hit("user")))) for _ in range(20)]
        together(threads)
    assert len([seconds for seconds in times if seconds > 0.45]) == 1, times


def test_an_outage_is_counted_and_logged_once_whoever_meets_it(
    make: Make, redis_server: Server, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    limiter = make(redis_url, pause=60, rate_limit="1000/minute")
    with redis_server.paused():
        threads = [Thread(target=limiter.hit, args=("user",)) for _ in range(50)]
        together(threads)
    assert limiter.fallbacks == 1
    assert warnings(caplog) == ["Redis cannot be used"]
    assert hits(limiter) == 950


def test_a_connection_that_was_closed_while_idle_is_replaced(make: Make, redis_url: str) -> None:
    limiter = make(redis_url)
    limiter.hit("user")
    with Redis.from_url(redis_url) as client:
        assert client.client_kill_filter(_type="normal", skipme=True) >= 1
    limiter.hit("user")
    assert (limiter.shared, limiter.fallbacks) == (True, 0)


OUTAGE = """
import gevent, redis
shared.TURNS = 25
limiter.hit("user")
redis.Redis.from_url(sys.argv[1]).execute_command("CLIENT", "PAUSE", "4000")
def chat(number):
    started = time.monotonic()
    limiter.hit(str(number))
    with limiter.slot(str(number)):
        times.append(time.monotonic() - started)
times = []
chats = [gevent.spawn(chat, number) for number in range(50)]
gevent.sleep(0.04)
for number in range(0, 50, 2):
    chats[number].kill(Gone())
gevent.joinall(chats)
print(len(times), max(times), limiter._slots.held(), limiter.shared, limiter.fallbacks)
shared.TURNS = 100
while not limiter.shared:
    gevent.sleep(0.05)
for number in range(50):
    limiter.hit(str(number))
    with limiter.slot(str(number)), limiter.slot(str(number)):
        pass
print(limiter.shared, limiter.fallbacks)
"""


def test_chats_ended_while_redis_is_silent_leave_nothing_behind(redis_url: str) -> None:
    """Half of them, and the other half are served; afterwards each answer is still that to its own question."""
    during, after = printed(GEVENT + BEGIN + PATIENT + OUTAGE, redis_url)
    served, slowest, rest = during.split(maxsplit=2)
    assert (served, rest, after) == ("25", "[] False 1", "True 1")
    assert float(slowest) < SOON * slack()


def test_a_probe_that_never_ends_is_replaced_after_a_pause() -> None:
    breaker = Breaker(0.2)
    assert breaker.enter() is State.CLOSED
    assert [breaker.open(), breaker.open()] == [True, False]
    for _ in range(2):
        assert breaker.enter() is State.OPEN
        wait_for(lambda: breaker.enter() is State.HALF_OPEN)
    breaker.close()
    assert breaker.enter() is State.CLOSED


def test_waiting_for_a_free_connection_is_no_failure_of_redis(
    make: Make, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answer takes 0.3 s, of the second that there is, and all of them two."""

    def slow(peer: Peer) -> None:
        for _ in ("AUTH", "SELECT"):
            peer.first()
            peer.send(b"+OK\r\n")
        while True:
            peer.first()
            peer.wait(0.3)
            peer.send(b":1\r\n")

    monkeypatch.setattr(shared, "TURNS", 50)
    with Far() as server:
        server.play(*[slow] * shared.MAX_CONNECTIONS)
        limiter = make(redis_url.replace(f":{urlsplit(redis_url).port}/", f":{server.port}/"))
        together([Thread(target=limiter.hit, args=(f"{number}",)) for number in range(7 * shared.MAX_CONNECTIONS)])
        assert limiter.fallbacks == 0
