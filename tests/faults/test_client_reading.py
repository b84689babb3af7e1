"""Clients that read in their own way: slowly or never, the next request sent ahead, or HTTP/1.0."""

import time
from threading import Event

import pytest

from tests.far import Far, Peer, Script, scripts
from tests.far.paces import WORD, endless, stalling
from tests.far.scripts import ANSWER
from tests.faults import kernel
from tests.faults.log import logged
from tests.faults.sluice import SECONDS, SOON, WRITE, Sluice
from tests.machine import slack
from tests.processes import wait_for
from tests.raw import chat, connect, new_id

FELT = 1.0
"""Seconds within which the provider must feel that the client has left, on a quiet machine."""


LATE = 1.6
"""Seconds that the write deadline may be late, on a quiet machine: it is looked for only now and then."""


def flood(sent: list[int]) -> Script:
    """Send as fast as the service takes it, and count the bytes."""
    part = scripts.chunk(scripts.delta("x" * 16_000))

    def script(peer: Peer) -> None:
        peer.send(scripts.CHUNKED)
        while True:
            peer.send(part)
            sent[0] += len(part)

    return script


def test_k5_a_client_that_reads_nothing_is_cut_and_its_provider_held_back_until_then(
    strict: Sluice, far: Far, model: str, mode: str
) -> None:
    sent = [0]
    far.script(model, flood(sent))
    with connect(strict.port, chat(model, name := new_id(), mode=mode), receive_buffer=4096) as client:
        (asked,) = wait_for(lambda: far.asked(model))
        ended = asked.wait_closed()
        assert 0 < sent[0] < 16 * 1024**2, "the provider is not held back"
        assert WRITE - 0.1 < ended - asked.at < WRITE + LATE * slack()
        client.end()
        answer = client.answer()
    assert answer.status == 200
    assert not answer.whole
    assert b"[DONE]" not in answer.body
    window = (WRITE, WRITE + LATE)
    record = logged(strict, name, "client_stalled", 200, upstream=200, attempts=1, seconds=window)
    assert record["bytesOut"] > len(answer.body)


def test_k5_a_client_that_reads_slowly_but_steadily_is_not_cut(strict: Sluice, far: Far, model: str, mode: str) -> None:
    """Its kernel takes something every 0.1 s.

    But a full send buffer wakes its writer only when a third of it is free, at this pace after many a timeout.
    """
    far.script(model, flood([0]))
    with connect(strict.port, chat(model, name := new_id(), mode=mode), receive_buffer=4096) as client:
        (asked,) = wait_for(lambda: far.asked(model))
        while time.monotonic() < asked.at + 3.5 * WRITE:
            assert client.take(size=2048), client.ended
            time.sleep(0.03)
        assert asked.closed_at is None
        client.leave("fin")
        asked.wait_closed(FELT * slack())
    logged(strict, name, "client_gone", 200, upstream=200, attempts=1, seconds=(3 * WRITE, 6 * WRITE))


def test_k5_a_client_that_stops_reading_once_all_is_sent_leaves_no_traceback(
    strict: Sluice, far: Far, model: str, mode: str
) -> None:
    """All of the answer fits into the buffers on the way; the kernel ends the kept connection, at no chat of ours."""
    parts = [scripts.chunk(scripts.delta("x" * 16_000)) for _ in range(60)]
    end = scripts.chunk(scripts.stop(), scripts.DONE)
    far.script(model, lambda peer: peer.send(scripts.CHUNKED, *parts, end, scripts.LAST))
    with connect(strict.port, chat(model, name := new_id(), mode=mode), receive_buffer=4096) as client:
        logged(strict, name, "ok", 200, upstream=200, attempts=1)
        wait_for(lambda: not kernel.connected(strict.port, client.port()))
        client.end()
        assert not client.answer().whole
    strict.healthz_ms()  # which comes behind whatever the worker has to say of it
    assert "Socket error" not in strict.service.log.read_text()


def test_k6_a_request_sent_ahead_is_answered_afterwards(sluice: Sluice, far: Far, model: str, mode: str) -> None:
    go_on = Event()

    def script(peer: Peer) -> None:
        peer.send(scripts.CHUNKED, scripts.chunk(scripts.delta("first")))
        go_on.wait(SECONDS)
        peer.send(scripts.chunk(scripts.delta("-conclusion"), scripts.stop(), scripts.DONE), scripts.LAST)

    far.script(model, script)
    second = far.script(f"{model}, the second", scripts.ok)
    names = [new_id(), new_id()]
    with connect(sluice.port, chat(model, names[0], mode=mode)) as client:
        client.until(b"first")
        client.send(chat(second, names[1], mode=mode))
        time.sleep(0.2)
        assert not far.asked(second)
        go_on.set()
        client.until(ANSWER.encode())
        wait_for(lambda: client.take(0.05) == b"" and all(answer.whole for answer in client.answers()))
        found = client.answers()
    assert [answer.status for answer in found] == [200, 200]
    assert [answer.headers["x-request-id"] for answer in found] == names
    assert [b"-conclusion" in answer.body for answer in found] == [True, False]
    for name, seconds in zip(names, [(0.2, SOON), (0.0, SOON)], strict=True):
        logged(sluice, name, "ok", 200, upstream=200, attempts=1, seconds=seconds)


@pytest.mark.parametrize("way", ["fin", "reset", "half"])
def test_k6_a_client_that_leaves_behind_a_request_sent_ahead_is_seen(
    sluice: Sluice, far: Far, model: str, mode: str, way: str
) -> None:
    """What watches for bytes wakes for the second request, and is blind from then on."""
    far.script(model, stalling)
    second = far.script(f"{model}, the second", scripts.ok)
    names = [new_id(), new_id()]
    with connect(sluice.port, chat(model, names[0], mode=mode)) as client:
        client.until(ANSWER.encode())
        client.send(chat(second, names[1], mode=mode))
        assert client.take(0.1) == b""
        (asked,) = far.asked(model)
        left = client.leave(way)
        assert asked.wait_closed() - left < FELT * slack()
        if way == "half":
            client.end()
        assert not client.answer().whole
    logged(sluice, names[0], "client_gone", 200, upstream=200, attempts=1)
    assert far.asked(second) == []
    assert sluice.records(names[1]) == []


def test_k24_an_answer_over_http_1_0_ends_with_the_connection(sluice: Sluice, far: Far, model: str, mode: str) -> None:
    far.script(model, scripts.ok)
    request = chat(model, name := new_id(), mode=mode, version="1.0")
    with connect(sluice.port, request) as client:
        assert client.end() == "fin"
        answer = client.answer()
    assert answer.status == 200
    assert not {"transfer-encoding", "content-length"} & set(answer.headers)
    if mode == "text":
        assert answer.body.decode() == ANSWER
    else:
        assert answer.body.endswith(b"data: [DONE]\n\n")
    record = logged(sluice, name, "ok", 200, upstream=200, attempts=1)
    assert record["bytesOut"] == len(answer.body)


def test_k24_a_cut_over_http_1_0_is_a_reset_in_text_and_an_error_event_in_sse(
    sluice: Sluice, far: Far, model: str, mode: str
) -> None:
    far.script(model, scripts.closing(scripts.CHUNKED, scripts.chunk(scripts.delta())))
    with connect(sluice.port, chat(model, name := new_id(), mode=mode, version="1.0")) as client:
        assert client.end() == ("reset" if mode == "text" else "fin")
        answer = client.answer()
    assert answer.status == 200
    if mode == "sse":
        assert answer.parts()[-2]["data"]["code"] == "up_truncated"
        assert answer.parts()[-1]["type"] == "error"
    assert b"[DONE]" not in answer.body
    logged(sluice, name, "up_truncated", 200, upstream=200, attempts=1)


def test_k24_a_client_of_http_1_0_that_leaves_is_seen(sluice: Sluice, far: Far, model: str, mode: str) -> None:
    far.script(model, stalling)
    with connect(sluice.port, chat(model, name := new_id(), mode=mode, version="1.0")) as client:
        client.until(ANSWER.encode())
        (asked,) = far.asked(model)
        left = client.leave("fin")
        assert asked.wait_closed() - left < FELT * slack()
    logged(sluice, name, "client_gone", 200, upstream=200, attempts=1)


@pytest.mark.parametrize("script", [stalling, endless], ids=["silent", "writing"])
def test_k24_a_client_of_http_1_0_that_closes_its_half_sees_a_reset(
    sluice: Sluice, far: Far, model: str, mode: str, script: Script
) -> None:
    """It still reads, and a plain end is how it would know a whole answer."""
    far.script(model, script)
    with connect(sluice.port, chat(model, name := new_id(), mode=mode, version="1.0")) as client:
        client.until((ANSWER if script is stalling else WORD).encode())
        (asked,) = far.asked(model)
        left = client.leave("half")
        assert asked.wait_closed() - left < FELT * slack()
        assert client.end() == "reset"
        assert b"[DONE]" not in client.received
    logged(sluice, name, "client_gone", 200, upstream=200, attempts=1)
