"""More clients than there are seats: who is too many is told so at once, and nobody else notices."""

import time
from contextlib import ExitStack

import pytest

from tests.far import Far, scripts
from tests.far.paces import endless
from tests.far.scripts import ANSWER
from tests.faults.log import logged
from tests.faults.sluice import SOON, Sluice, environment, start
from tests.machine import slack
from tests.processes import Processes, wait_for
from tests.raw import body, chat, connect, head, new_id

SEATS = 5
MILLISECONDS = 50
"""How long a refusal may take, as the client sees it, on a quiet machine; one of a few is enough."""


@pytest.fixture(scope="module")
def small(processes: Processes, far: Far) -> Sluice:
    """A service with few seats, in which nothing goes on."""
    started = start(processes, far, environment(far, MAX_STREAMS=str(SEATS)))
    started.chat(far.script("warm with few seats", scripts.ok))
    started.calm()
    return started


def shed(small: Sluice, request: bytes, name: str) -> float:
    """Be refused; return after how many milliseconds."""
    started = time.monotonic()
    with connect(small.port, request) as client:
        client.until(b"}")
        took = (time.monotonic() - started) * 1000
        assert client.answer().failure() == (503, "shed")
        assert client.answer().headers["retry-after"] == "1"
    logged(small, name, "shed", 503)
    return took


def test_k22_one_chat_too_many_is_refused_at_once_and_the_others_go_on(
    small: Sluice, far: Far, model: str, mode: str
) -> None:
    """The refused one sends no body: it must not be waited for."""
    far.script(model, endless)
    extra = far.script(f"{model}, one too many", scripts.ok)
    names = [new_id() for _ in range(SEATS)]
    with ExitStack() as stack:
        seated = [stack.enter_context(connect(small.port, chat(model, name, mode=mode))) for name in names]
        for client in seated:
            client.until(b"word ")
        unread = head("{}", f"Content-Length: {len(body(extra))}", mode=mode).decode()
        ids = [new_id() for _ in range(10)]
        assert any(shed(small, unread.format(name).encode(), name) < MILLISECONDS * slack() for name in ids)
        assert far.asked(extra) == []
        assert small.is_quick()
        before = [len(client.received) for client in seated]
        for client, size in zip(seated, before, strict=True):
            wait_for(lambda client=client, size=size: client.take() and len(client.received) > size + 100)  # type: ignore[misc]
            assert not client.ended
        seated[0].leave("fin")
        wait_for(lambda: len(small.records(names[0])) == 1)
        with connect(small.port, chat(extra, new_id(), mode=mode)) as client:
            client.until(b"0\r\n\r\n")
            assert ANSWER.encode() in client.answer().body
        for client in seated[1:]:
            assert not client.ended
            client.leave("fin")
    for name in names:
        logged(small, name, "client_gone", 200, upstream=200, attempts=1, seconds=(0, 2 * SOON))
    small.assert_calm()


def test_k22_a_crowd_that_is_refused_costs_the_seated_ones_little(small: Sluice, far: Far, model: str) -> None:
    """Ten times as many as there are seats, all at once."""
    far.script(model, endless)
    with ExitStack() as stack:
        seated = [stack.enter_context(connect(small.port, chat(model, new_id()))) for _ in range(SEATS)]
        for client in seated:
            client.until(b"word ")
        names = [new_id() for _ in range(10 * SEATS)]
        with small.pulse() as beats:
            crowd = [stack.enter_context(connect(small.port, head(name, "Content-Length: 9"))) for name in names]
            for client in crowd:
                client.until(b"}")
        assert sorted(beats)[len(beats) * 9 // 10] < 200 * slack()  # milliseconds
        for client in crowd:
            assert client.answer().failure() == (503, "shed")
        for client in seated:
            assert client.take()
            assert not client.ended
    for name in names:
        logged(small, name, "shed", 503)
    small.assert_calm()
