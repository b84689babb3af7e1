"""Clients that leave: the provider's connection is closed within a second, whatever the chat is waiting for."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.far import Far, Script, scripts
from tests.far.paces import WORD, endless, sedate, silent, stalling
from tests.far.scripts import ANSWER
from tests.faults import kernel
from tests.faults.log import logged
from tests.faults.sluice import COMMIT, FIRST_EVENT, SOON, Sluice, environment, start
from tests.machine import slack
from tests.processes import Processes, wait_for
from tests.raw import chat, connect, new_id

FELT = 1.0
"""Seconds within which the provider must feel that the client has left, on a quiet machine."""


@pytest.fixture(scope="module")
def black_hole() -> Iterator[int]:
    """A port that does not answer: its backlog is full, so that the kernel drops every SYN."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)  # noqa: FBT003 - the one argument that it has
            sock.connect_ex(listener.getsockname())
        yield int(listener.getsockname()[1])
        for sock in waiting:
            sock.close()


@pytest.fixture(scope="module")
def lost(processes: Processes, far: Far, black_hole: int) -> Sluice:
    """A service that would try for a long time to reach its provider."""
    changes = {"OPENAI_BASE_URL": f"http://127.0.0.1:{black_hole}/v1", "CONNECT_TIMEOUT_SECONDS": "30"}
    started = start(processes, far, environment(far, **changes))
    started.chat(far.script("warm but lost", scripts.ok), provider="groq")
    started.calm()
    return started


@pytest.mark.parametrize("way", ["fin", "reset", "half"])
def test_k1_a_client_leaves_while_the_provider_is_being_connected_to(lost: Sluice, black_hole: int, way: str) -> None:
    waiting = sum(row.remote == black_hole for row in kernel.rows(black_hole))
    with connect(lost.port, chat("any", name := new_id())) as client:
        wait_for(lambda: sum(row.remote == black_hole for row in kernel.rows(black_hole)) > waiting)
        assert client.received == b""
        client.leave(way)
        wait_for(lambda: sum(row.remote == black_hole for row in kernel.rows(black_hole)) == waiting, FELT)
        if way == "half":
            assert client.end(FELT)
            assert all(answer.status >= 400 for answer in client.answers())
    logged(lost, name, "client_gone", 499, attempts=1)
    lost.assert_calm()


@pytest.mark.parametrize("way", ["fin", "reset", "half"])
@pytest.mark.parametrize(
    ("script", "upstream"),
    [(silent, None), (scripts.sending(scripts.CHUNKED), 200)],
    ids=["before its headers", "before its first event"],
)
def test_k1_a_client_leaves_while_the_provider_thinks(
    sluice: Sluice, far: Far, model: str, mode: str, script: Script, upstream: int | None, way: str
) -> None:
    far.script(model, script)
    with connect(sluice.port, chat(model, name := new_id(), mode=mode)) as client:
        (asked,) = wait_for(lambda: far.asked(model))
        assert asked.closed_at is None
        assert client.take(0.1) == b""
        left = client.leave(way)
        assert 0 <= asked.wait_closed() - left < FELT * slack()
        if way == "half":
            assert client.end(FELT)
            assert all(answer.status >= 400 for answer in client.answers())
    record = logged(sluice, name, "client_gone", 499, upstream=upstream, attempts=1)
    assert (record["ttftMs"], record["events"], record["bytesOut"]) == (None, 0, 0)


def test_k1_a_client_leaves_after_the_headers_had_to_go_out_alone(
    hasty: Sluice, far: Far, model: str, mode: str
) -> None:
    far.script(model, silent)
    with connect(hasty.port, chat(model, name := new_id(), mode=mode)) as client:
        client.until(b"\r\n\r\n")
        (asked,) = far.asked(model)
        left = client.leave("fin")
        assert 0 <= asked.wait_closed() - left < FELT * slack()
    record = logged(hasty, name, "client_gone", 200, attempts=1, seconds=(COMMIT, FIRST_EVENT))
    assert (record["ttftMs"], record["events"]) == (None, 0)


def leave_in_mid_answer(sluice: Sluice, far: Far, model: str, mode: str, script: Script, way: str) -> bytes:
    """Leave once the answer's first words are here; return all that came, which after a half close may be more."""
    far.script(model, script)
    with connect(sluice.port, chat(model, name := new_id(), mode=mode)) as client:
        client.until((WORD if script is endless else ANSWER).encode())
        (asked,) = far.asked(model)
        assert asked.closed_at is None
        assert not client.ended
        left = client.leave(way)
        assert 0 <= asked.wait_closed() - left < FELT * slack()
        if way == "half":
            client.end(FELT)
        answer = client.answer()
    record = logged(sluice, name, "client_gone", 200, upstream=200, attempts=1)
    assert len(far.asked(model)) == 1
    assert answer.status == 200
    assert record["events"] >= 1
    assert record["ttftMs"] is not None
    assert record["bytesOut"] >= len(answer.body)
    assert script is endless or record["bytesOut"] == len(answer.body)
    assert not answer.whole
    return answer.body


UNDER_WAY = pytest.mark.parametrize("script", [stalling, endless], ids=["silent", "writing"])


@UNDER_WAY
def test_k2_a_client_leaves_in_mid_answer_with_a_fin(
    sluice: Sluice, far: Far, model: str, mode: str, script: Script
) -> None:
    leave_in_mid_answer(sluice, far, model, mode, script, "fin")


@UNDER_WAY
def test_k3_a_client_leaves_in_mid_answer_with_a_reset(
    sluice: Sluice, far: Far, model: str, mode: str, script: Script
) -> None:
    leave_in_mid_answer(sluice, far, model, mode, script, "reset")


@UNDER_WAY
def test_k4_a_client_that_closes_its_half_counts_as_gone_and_never_sees_a_clean_end(
    sluice: Sluice, far: Far, model: str, mode: str, script: Script
) -> None:
    received = leave_in_mid_answer(sluice, far, model, mode, script, "half")
    assert b"[DONE]" not in received
    assert b'"finish"' not in received


@pytest.mark.parametrize("way", ["fin", "reset"])
def test_k25_two_hundred_clients_leave_at_once(sluice: Sluice, far: Far, model: str, mode: str, way: str) -> None:
    """Twice the time, because the provider's two hundred threads wake on the same cores."""
    far.script(model, sedate)
    names = [new_id() for _ in range(200)]
    with ExitStack() as crowd, sluice.pulse() as beats:
        clients = [crowd.enter_context(connect(sluice.port, chat(model, name, mode=mode))) for name in names]
        for client in clients:
            client.until(WORD.encode())
        assert len(far.asked(model)) == 200
        beats.clear()
        left = [client.leave(way) for client in clients]
        closed = [asked.wait_closed() for asked in far.asked(model)]
    assert max(closed) - min(left) < 2 * FELT * slack()
    assert sorted(beats)[len(beats) * 9 // 10] < 100 * slack()
    for name in names:
        logged(sluice, name, "client_gone", 200, upstream=200, attempts=1, seconds=(0, 4 * SOON))
