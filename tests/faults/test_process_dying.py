"""Processes that die, or break: whoever was being answered sees a cut, and the next one is answered."""

import os
import signal
import time
from contextlib import ExitStack

import pytest

from tests.far import Far, scripts
from tests.far.paces import endless
from tests.far.scripts import ANSWER
from tests.faults.log import logged
from tests.faults.mistakes import BEFORE, MISTAKE
from tests.faults.sluice import SECONDS, Sluice, environment
from tests.machine import slack
from tests.processes import START_SECONDS, Processes, wait_for
from tests.raw import Client, chat, connect, new_id

HEALTHZ = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
STUCK = 2
"""Seconds after which gunicorn takes a worker for stuck; it looks once a second, and workers say so once a second."""
DRAIN = 0.5


def assert_cut(client: Client) -> None:
    """The answer has begun, and nothing in it says that it is whole."""
    assert client.answer().status == 200
    assert not client.answer().whole
    assert b"[DONE]" not in client.received
    assert b'"finish"' not in client.received


def served_by_another(service: Sluice, before: list[int]) -> bool:
    """Tell whether a worker answers that is none of those before; many ask at once, so that each worker takes some."""
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(service.port, HEALTHZ)) for _ in range(10)]
        for client in clients:
            client.until(b'"ok"', START_SECONDS)
        return any(worker_of(client) not in before for client in clients)


def worker_of(client: Client) -> int:
    return int(client.answer().headers["x-worker"])


def test_p4_a_killed_worker_s_answers_are_cut_others_go_on_and_a_new_one_serves(
    processes: Processes, far: Far, model: str
) -> None:
    two = environment(far, WEB_CONCURRENCY="2")
    began = time.monotonic()
    pair = Sluice(processes.fresh_service(two, "gunicorn tests.faults.mistaken:app"), far)
    patience = max(3, 4 * (time.monotonic() - began))  # as a new worker starts as the first ones did
    wait_for(lambda: len(pair.service.pids()) == 3)
    far.script(model, endless)
    names: dict[Client, str] = {}
    homes: dict[Client, int] = {}
    with ExitStack() as stack:
        while len(homes) < 4 or len(set(homes.values())) < 2:
            assert len(homes) < 100, "one worker takes everything"
            mode = ("text", "sse")[len(homes) % 2]
            name = new_id()
            client = stack.enter_context(connect(pair.port, chat(model, name, mode=mode)))
            client.until(b"word ")
            names[client], homes[client] = name, worker_of(client)
        victim = next(iter(homes.values()))
        lost = [client for client, home in homes.items() if home == victim]
        kept = [client for client, home in homes.items() if home != victim]
        before = pair.service.pids()
        killed = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        for client in lost:
            assert client.end()
            assert_cut(client)
        assert time.monotonic() - killed < slack()
        wait_for(lambda: sum(one.closed_at is not None for one in far.asked(model)) == len(lost))
        wait_for(lambda: served_by_another(pair, before))
        assert time.monotonic() - killed < patience
        for client in kept:
            size = len(client.received)
            while len(client.received) < size + 1000:
                assert client.take()
            client.leave("fin")
    for client in kept:
        logged(pair, names[client], "client_gone", 200, upstream=200, attempts=1, seconds=(0, SECONDS))
    for client in lost:
        assert pair.records(names[client]) == []  # nobody is left to write one


@pytest.fixture
def mistaken(processes: Processes, far: Far) -> Sluice:
    """A service with a programmer's mistakes, which is soon taken for stuck."""
    settings = environment(far, DRAIN_SECONDS=str(DRAIN))
    line = f"gunicorn --timeout {STUCK} tests.faults.mistaken:app"
    return Sluice(processes.fresh_service(settings, line), far)


@pytest.mark.parametrize("path", ["sleep", "compute"])
def test_p5_a_worker_whose_loop_is_stuck_is_replaced(mistaken: Sluice, far: Far, model: str, path: str) -> None:
    """Where the worker still hears the signal, it drains; where not, it is killed."""
    far.script(model, endless)
    names = [new_id(), new_id()]
    with (
        connect(mistaken.port, chat(model, names[0])) as text,
        connect(mistaken.port, chat(model, names[1], mode="sse")) as sse,
    ):
        for client in (text, sse):
            client.until(b"word ")
        started = time.monotonic()
        with connect(mistaken.port, f"GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()) as stuck:
            ends = [client.end() for client in (text, sse, stuck)]
            assert STUCK - 1.5 < time.monotonic() - started < STUCK + 4 * slack()
            assert stuck.received == b""
        assert set(ends) <= {"fin", "reset"}
        assert not text.answer().whole
        assert b"[DONE]" not in sse.received
        assert b'"finish"' not in sse.received
        if path == "sleep":
            assert sse.answer().parts()[-2]["data"]["code"] == "draining"
        for asked in far.asked(model):
            asked.wait_closed()
        wait_for(lambda: served_by_another(mistaken, [mistaken.worker]))
    if path == "sleep":
        for name in names:
            logged(mistaken, name, "draining", 200, upstream=200, attempts=1, seconds=(STUCK - 1.5, STUCK + 4))
    else:
        assert [mistaken.records(name) for name in names] == [[], []]
    assert mistaken.worker not in mistaken.service.pids()


@pytest.fixture(scope="module")
def broken(processes: Processes, far: Far) -> Sluice:
    """A service with a provider that is a mistake, in which nothing goes on."""
    started = Sluice(processes.fresh_service(environment(far), "gunicorn tests.faults.mistaken:app"), far)
    started.chat(far.script("warm beside a mistake", scripts.ok))
    started.calm()
    return started


def ask_mistaken(broken: Sluice, where: str, mode: str) -> tuple[Client, str]:
    """Ask the provider that is a mistake, which we are told of, and the client is not."""
    request = chat(where, name := new_id(), "Connection: close", mode=mode).replace(b"/openai", b"/mistaken")
    before = broken.service.log.read_text().count(f"RuntimeError: {MISTAKE}")
    with connect(broken.port, request) as client:
        client.end()
    wait_for(lambda: broken.service.log.read_text().count(f"RuntimeError: {MISTAKE}") == before + 1)
    broken.assert_calm()
    assert MISTAKE.encode() not in client.received
    assert b"Traceback" not in client.received
    return client, name


@pytest.mark.parametrize("where", ["at once", "first"])
def test_p19_a_mistake_of_ours_before_the_answer_is_told_as_an_error(broken: Sluice, mode: str, where: str) -> None:
    client, name = ask_mistaken(broken, where, mode)
    assert client.answer().failure() == (500, "internal")
    record = logged(broken, name, "internal", 500)
    assert record["events"] == 0


def test_p19_a_mistake_of_ours_in_mid_answer_cuts_it(broken: Sluice, mode: str) -> None:
    client, name = ask_mistaken(broken, "after", mode)
    answer = client.answer()
    assert answer.status == 200
    assert b"[DONE]" not in answer.body
    if mode == "text":
        said = "\n\n[This answer is incomplete. An unexpected error occurred]"
        assert (answer.body.decode(), answer.whole) == (BEFORE + said, False)
    else:
        assert [part["type"] for part in answer.parts()][-3:] == ["text-delta", "data-error", "error"]
        assert answer.parts()[-2]["data"] == {"code": "internal", "message": "An unexpected error occurred"}
    logged(broken, name, "internal", 200)


def test_p19_after_a_mistake_of_ours_all_others_are_answered(broken: Sluice, far: Far, model: str, mode: str) -> None:
    far.script(model, scripts.ok)
    assert broken.chat(model, mode).text() == ANSWER
    assert broken.service.pids()[1] == broken.worker
