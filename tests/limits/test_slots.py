"""How many chats of one user may run at once."""

import gc
import os
import signal
import subprocess
from contextlib import ExitStack
from threading import enumerate as threads
from time import monotonic, sleep
from typing import Any

import pytest
from redis import Redis

from app.config import Settings
from app.failure import Code, Failure, Gone
from app.limits import Limiter, Rate, shared
from app.limits.local import Lease, Slots
from tests.processes import ROOT, environment_without, wait_for

from .conftest import LEASE_SECONDS, Make
from .limiters import BEGIN, GEVENT, PATIENT, Crowd, command, printed, refused, seats

pytestmark = pytest.mark.usefixtures("_patient")


NOT_THERE = -2
"""What Redis says of a key that it does not have."""


def contents(url: str) -> dict[str, Any]:
    """Return what Redis has, and for how many milliseconds."""
    with Redis.from_url(url, decode_responses=True) as client:
        return {key: client.pttl(key) for key in client.keys()}  # noqa: SIM118 - a command of Redis's


def test_only_so_many_chats_of_a_user_run_at_once(make: Make, url: str) -> None:
    limiter = make(url, max_streams_per_user=2)
    with limiter.slot("user"), limiter.slot("user"):
        with pytest.raises(
            Failure, match=r"^Only 2 of your chats may run at once\. Please wait until one has ended\.$"
        ):
            limiter.slot("user").__enter__()
        assert refused(limiter.slot("user").__enter__) == 5
        assert seats(limiter, "other") == 2
    assert seats(limiter) == 2


def leave(limiter: Limiter, error: BaseException) -> BaseException | None:
    """Hold the only slot, leave by an error, and return what came out."""
    try:
        with limiter.slot("user"):
            refused(limiter.slot("user").__enter__)
            raise error  # noqa: TRY301 - the way out that is tested
    except BaseException as caught:  # noqa: BLE001
        return caught


@pytest.mark.parametrize(
    "error", [ValueError(), Failure(Code.INTERNAL, ""), Gone(), KeyboardInterrupt(), GeneratorExit(), SystemExit()]
)
def test_a_slot_is_free_again_after_every_way_out(make: Make, url: str, error: BaseException) -> None:
    limiter, other = make(url, max_streams_per_user=1), make(url, max_streams_per_user=1)
    for _ in range(3):
        assert leave(limiter, error) is error
    assert (seats(limiter), seats(other)) == (1, 1)


def test_a_slot_may_be_given_back_elsewhere_than_it_was_taken(make: Make, url: str) -> None:
    limiter = make(url, max_streams_per_user=1)
    with ExitStack() as resources:
        resources.enter_context(limiter.slot("user"))
        kept = resources.pop_all()
    refused(limiter.slot("user").__enter__)
    kept.close()
    kept.close()
    assert seats(limiter) == 1


def test_a_slot_that_nobody_closed_is_free_again(make: Make, url: str) -> None:
    limiter = make(url, max_streams_per_user=1)
    slot = limiter.slot("user")
    slot.__enter__()
    del slot
    gc.collect()
    assert seats(limiter) == 1


def test_processes_count_together_in_redis(make: Make, redis_url: str) -> None:
    one, other = make(redis_url, max_streams_per_user=3), make(redis_url, max_streams_per_user=3)
    with one.slot("user"), other.slot("user"):
        assert (seats(one), seats(other)) == (1, 1)
        with one.slot("user"):
            assert (seats(one), seats(other), seats(other, "another user")) == (0, 0, 3)
    assert (seats(one), seats(other)) == (3, 3)
    assert (one.fallbacks, other.fallbacks) == (0, 0)


def test_a_slot_is_held_for_as_long_as_it_takes(make: Make, redis_url: str) -> None:
    one, other = make(redis_url, max_streams_per_user=1), make(redis_url, max_streams_per_user=1)
    with one.slot("user"):
        until = monotonic() + 2 * LEASE_SECONDS
        while monotonic() < until:
            assert seats(other) == 0
            sleep(0.05)
    assert seats(other) == 1


def test_slots_that_redis_lost_are_told_to_it_again(make: Make, redis_url: str) -> None:
    one, other = make(redis_url, max_streams_per_user=2), make(redis_url, max_streams_per_user=2)
    with one.slot("user"), one.slot("user"), one.slot("another user"), Redis.from_url(redis_url) as client:
        client.flushdb()
        wait_for(lambda: seats(other) == 0, LEASE_SECONDS)
        assert seats(other, "another user") == 1


def test_a_thread_renews_slots_only_while_there_are_any(make: Make, redis_url: str) -> None:
    before = set(threads())
    limiter = make(redis_url)
    assert set(threads()) == before
    with limiter.slot("user"), limiter.slot("user"), limiter.slot("other"):
        wait_for(lambda: len(set(threads()) - before) == 1)
    wait_for(lambda: set(threads()) == before, LEASE_SECONDS)


def test_nothing_is_left_of_a_limiter_that_nobody_has(redis_url: str) -> None:
    """Its connection is closed at once, also when nobody collects garbage: that would close the socket unasked."""
    with Redis.from_url(redis_url) as client:
        client.script_flush()
        limiter = Limiter(Settings(redis_url=redis_url), lease_seconds=0.3)
        gc.disable()
        try:
            limiter.hit("user")
            with limiter.slot("user"):
                assert connections(client) == 2
            del limiter
            wait_for(lambda: connections(client) == 1)
        finally:
            gc.enable()


def connections(client: Redis) -> int:
    """Return how many connections there are to the client's database."""
    everywhere: Any = client.client_list()
    return len([found for found in everywhere if found["db"] == str(client.get_connection_kwargs()["db"])])


def test_a_lease_that_was_given_back_too_early_is_removed(redis_url: str) -> None:
    """A chat that is ended while Redis is asked may give its lease back before Redis has taken it."""
    slots, lease = Slots(1), Lease("user", "id")
    redis = shared.Shared(Settings(redis_url=redis_url), Rate(5, 60), slots, LEASE_SECONDS, 1)
    assert redis.acquire(lease) == 1
    assert contents(redis_url) == {}
    slots.take(lease)
    assert redis.acquire(lease) == 1
    assert list(contents(redis_url)) == ["sluice:slots:user"]


def test_nothing_stays_in_redis_for_ever(make: Make, redis_url: str) -> None:
    limiter = make(redis_url, rate_limit="5/2 seconds")
    with limiter.slot("user"):
        limiter.hit("user")
        assert limiter.shared
        kept = contents(redis_url)
        assert len(kept) >= 2, "and for a second what shows whether Redis is well"
        assert all(left == NOT_THERE or 0 < left <= 2000 for left in kept.values()), kept
    wait_for(lambda: contents(redis_url) == {})


def test_the_id_of_a_user_is_not_told_to_redis(make: Make, redis_url: str) -> None:
    limiter = make(redis_url)
    with limiter.slot("alice@example.com"):
        limiter.hit("alice@example.com")
        assert not any("alice" in key for key in contents(redis_url))


HOLD = """
limiter = Limiter(Settings(redis_url=sys.argv[1], max_streams_per_user=3), lease_seconds=1.5)
with limiter.slot("user"), limiter.slot("user"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("patch", ["", GEVENT], ids=["threads", "gevent"])
def test_a_killed_process_gives_its_slots_back_by_and_by(make: Make, redis_url: str, patch: str) -> None:
    """Its own two of three, while another process keeps the third."""
    holding = command(patch + BEGIN + PATIENT + HOLD, redis_url)
    process = subprocess.Popen(holding, cwd=ROOT, env=environment_without({}), stdout=subprocess.PIPE)
    limiter = make(redis_url, max_streams_per_user=3)
    with process, limiter.slot("user"):
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        sleep(LEASE_SECONDS)
        assert seats(limiter) == 0
        os.kill(process.pid, signal.SIGKILL)
        assert seats(limiter) == 0
        wait_for(lambda: seats(limiter) == 2, LEASE_SECONDS + 0.5)


def crowded(limiters: list[Limiter]) -> list[str]:
    """Return how many were inside at most, and how often Redis failed."""
    crowd = Crowd(limiters)
    crowd.run()
    return [str(crowd.most_inside), str([limiter.fallbacks for limiter in limiters])]


def test_no_crowd_gets_more_than_there_is(make: Make, url: str) -> None:
    assert crowded([make(url)]) == ["4", "[0]"]


def test_no_crowd_gets_more_than_there_is_from_several_processes(make: Make, redis_url: str) -> None:
    """Each has a few connections, which all of its crowd share."""
    with Redis.from_url(redis_url) as client:
        limiters = [make(redis_url), make(redis_url)]
        assert crowded(limiters) == ["4", "[0, 0]"]
        assert 1 + len(limiters) < connections(client) <= 1 + len(limiters) * shared.MAX_CONNECTIONS


def test_no_crowd_of_greenlets_gets_more_than_there_is(url: str) -> None:
    run = """
from tests.limits.test_slots import crowded
print(*crowded([Limiter(Settings(redis_url=sys.argv[1])) for _ in range(2 if sys.argv[1] else 1)]), sep="\\n")
"""
    found = printed(GEVENT + BEGIN + PATIENT + run, url)
    assert found == ["4", "[0, 0]" if url else "[0]"]


NO_THREAD = """
import threading
def hits():
    limiter.hit("user")
    with limiter.slot("user"):
        return limiter.shared, limiter.fallbacks
threading.stack_size(2**45)
print(*hits())
threading.stack_size(0)
while not limiter.shared:
    time.sleep(0.05)
print(*hits())
"""


def test_without_a_new_thread_a_process_counts_alone(redis_url: str) -> None:
    assert printed(BEGIN + PATIENT + NO_THREAD, redis_url) == ["False 1", "True 1"]


BUSY = """
import gevent
shared.TURNS = 12
limiter = Limiter(Settings(redis_url=sys.argv[1], rate_limit="1000/minute"))
def chat(number):
    limiter.hit(str(number))
    with limiter.slot(str(number)):
        until = time.process_time() + 0.005
        while time.process_time() < until:
            pass
        gevent.sleep(0.01)
gevent.joinall([gevent.spawn(chat, number) for number in range(200)], raise_error=True)
print(limiter.shared, limiter.fallbacks)
"""


def test_a_process_that_is_busy_does_not_take_redis_for_slow(redis_url: str) -> None:
    """Two hundred chats begin in one moment, each with 5 ms of work: a second, in which the event loop stutters.

    Where other programs take the processor as well, Redis may in fact be slow: so it has a quarter of that, and one of
    a few times is enough.
    """
    assert any(printed(GEVENT + BEGIN + PATIENT + BUSY, redis_url) == ["True 0"] for _ in range(5))


FORK = """
(given_back, give_back), (taken, take), (seen, see) = os.pipe(), os.pipe(), os.pipe()
limiter.hit("user")
with limiter.slot("user"):
    child = os.fork()
    if not child:
        os.read(given_back, 1)
        while not limiter.shared:
            time.sleep(0.05)
        with limiter.slot("user"), limiter.slot("user"):
            print("child", limiter.shared, flush=True)
            os.write(take, b"x")
            os.read(seen, 1)
        os._exit(0)
os.write(give_back, b"x")
os.read(taken, 1)
while not limiter.shared:
    time.sleep(0.05)
try:
    limiter.slot("user").__enter__()
except Failure:
    print("parent", limiter.shared, flush=True)
os.write(see, b"x")
os.waitpid(child, 0)
"""


@pytest.mark.parametrize("patch", ["", GEVENT], ids=["threads", "gevent"])
def test_a_forked_process_begins_anew(redis_url: str, patch: str) -> None:
    """It may have both slots once its parent has given its own back, and keeps them, over a connection of its own."""
    assert printed(patch + BEGIN + PATIENT + FORK, redis_url) == ["child True", "parent True"]


GONE = """
import gevent, subprocess
def run():
    with limiter.slot("user"):
        seen.append("inside")
        gevent.sleep(60)
def seats():
    with limiter.slot("user"):
        with limiter.slot("user"):
            return 2
for wait in (0, 0.0001, 0.0003, 0.001, 0.01):
    for error in (Gone(), Failure(Code.DRAINING, ""), gevent.GreenletExit()):
        seen = []
        greenlets = [gevent.spawn(run) for _ in range(2)]
        gevent.sleep(wait)
        for greenlet in greenlets:
            greenlet.kill(error)
        assert limiter._slots.held() == []
        limiter.hit("other")
        assert seats() == 2
print(limiter.shared, limiter.fallbacks)
"""


def test_a_chat_ended_while_redis_is_asked_leaves_no_slot_taken(redis_url: str) -> None:
    found = printed(GEVENT + BEGIN + PATIENT + GONE, redis_url)
    assert found == ["True 0"]
