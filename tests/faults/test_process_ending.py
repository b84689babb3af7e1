"""A process that must end: what runs may finish for a while, then gets an honest end; nothing new is taken."""

import os
import re
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from threading import Event

import pytest

from tests.far import Far, Peer, scripts
from tests.far.paces import WORD, WORDS, endless, short, silent, stalling
from tests.far.scripts import ANSWER
from tests.faults import kernel
from tests.faults.log import logged
from tests.faults.sluice import SECONDS, SOON, Sluice, environment
from tests.machine import slack
from tests.processes import START_SECONDS, Processes, wait_for
from tests.raw import Client, chat, connect, new_id

DRAIN = 3
"""Seconds: how long running answers may go on here; a worker looks once a second whether it must end."""
GONE = 2.5
"""Seconds: how long it may take until the process has gone after that, on a quiet machine."""
LONG_DRAIN = {"DRAIN_SECONDS": "20"}
"""Where what runs is to finish, at the speed of whatever machine."""

LINE = "gunicorn tests.faults.observed:app"
SHORT_DRAIN = {"DRAIN_SECONDS": str(DRAIN)}


@pytest.fixture
def leaving(processes: Processes, far: Far) -> Sluice:
    """A service of the test's own."""
    return Sluice(processes.fresh_service(environment(far, **SHORT_DRAIN), LINE), far)


def master(leaving: Sluice) -> None:
    """Tell the master only, as most platforms do."""
    leaving.service.process.send_signal(signal.SIGTERM)


def everybody_twice(leaving: Sluice) -> None:
    """Tell every process, and again while they drain, as Heroku may."""
    pids = leaving.service.pids()
    for _ in range(2):
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        time.sleep(0.2)


def text_of(client: Client) -> str:
    """Return the text of an answer in either protocol."""
    answer = client.answer()
    if answer.headers["content-type"] == "text/event-stream":
        return "".join(part["delta"] for part in answer.parts() if part["type"] == "text-delta")
    return answer.body.decode()


def test_p1_a_short_answer_may_finish(processes: Processes, far: Far, model: str) -> None:
    """The process is gone long before its time to drain is over."""
    go_on = Event()
    far.script(model, short(go_on))
    leaving = Sluice(processes.fresh_service(environment(far, **LONG_DRAIN), LINE), far)
    names = [new_id(), new_id()]
    with (
        connect(leaving.port, chat(model, names[0])) as text,
        connect(leaving.port, chat(model, names[1], mode="sse")) as sse,
    ):
        for client in (text, sse):
            client.until(b"0 ")
        master(leaving)
        wait_for(lambda: not kernel.listening(leaving.port))
        go_on.set()
        told = time.monotonic()
        for client in (text, sse):
            client.until(b"0\r\n\r\n")
            assert client.answer().whole
            assert text_of(client) == WORDS
        assert sse.answer().body.endswith(b"data: [DONE]\n\n")
        assert leaving.service.process.wait(SECONDS) == 0
        assert time.monotonic() - told < GONE * slack()
        for client in (text, sse):
            assert client.end()
    for name in names:
        logged(leaving, name, "ok", 200, upstream=200, attempts=1)


PHASES = {
    # A chat's mode, its provider's pace, and the HTTP version of its client.
    "text": ("text", endless, "1.1"),
    "sse": ("sse", endless, "1.1"),
    "silent text": ("text", stalling, "1.1"),
    "silent sse": ("sse", stalling, "1.1"),
    "text over HTTP/1.0": ("text", endless, "1.0"),
    "not begun": ("text", silent, "1.1"),
}
LATE = {"one byte later": 1, "some headers later": 20}
"""Requests of which so many bytes had come when the process was told to end."""


def open_all(leaving: Sluice, far: Far, model: str, stack: ExitStack) -> dict[str, Client]:
    """Open a chat in every phase; return when all are there. Their request ids are their names."""
    clients = {}
    for kind, (mode, pace, version) in PHASES.items():
        request = chat(far.script(f"{model} {kind}", pace), _id(kind), mode=mode, version=version)
        clients[kind] = stack.enter_context(connect(leaving.port, request))
        if pace is not silent:
            clients[kind].until((WORD if pace is endless else ANSWER).encode())
        wait_for(lambda kind=kind: far.asked(f"{model} {kind}"))  # type: ignore[misc]
    return clients


RESTARTING = "The service is restarting, so the answer could not be finished. Please try again."


def _id(kind: str) -> str:
    return re.sub(r"\W", "_", kind.rjust(8, "_"))


def assert_drained(kind: str, client: Client) -> None:
    """An answer was ended honestly."""
    answer = client.answer()
    assert b"[DONE]" not in answer.body
    if kind == "not begun":
        assert answer.failure() == (503, "draining")
        assert answer.headers["retry-after"] == "5"
    elif "sse" in kind:
        assert answer.parts()[-2]["data"]["code"] == "draining"
        assert answer.parts()[-1]["type"] == "error"
    else:
        assert not answer.whole
        assert client.ended == "reset" or "1.0" not in kind
        assert answer.body.decode().endswith(f"\n\n[This answer is incomplete. {RESTARTING}]")


def drained(leaving: Sluice, far: Far, model: str, tell: Callable[[Sluice], None]) -> None:
    """Let chats in every phase, and some that come late, meet the end of their process."""
    requests = {kind: chat(model, _id(kind)) for kind in LATE}
    with ExitStack() as stack:
        clients = open_all(leaving, far, model, stack)
        late = {kind: stack.enter_context(connect(leaving.port)) for kind in LATE}
        for kind, client in late.items():
            wait_for(lambda client=client: kernel.worker_of(leaving.service, client.port()))  # type: ignore[misc]
            client.send(requests[kind][: LATE[kind]])
        told = time.monotonic()
        tell(leaving)
        wait_for(lambda: not kernel.listening(leaving.port), DRAIN)
        for kind, client in late.items():
            client.send(requests[kind][LATE[kind] :])
            client.end()
            assert client.answer().failure() == (503, "draining")
            assert client.answer().headers["retry-after"] == "5"
        assert not any(client.ended for client in clients.values())
        for client in clients.values():
            client.end()
        assert DRAIN - 0.1 < time.monotonic() - told < DRAIN + slack()
        for kind, client in clients.items():
            assert_drained(kind, client)
            far.asked(f"{model} {kind}")[0].wait_closed()
        assert leaving.service.process.wait(SECONDS) == 0
        assert time.monotonic() - told < DRAIN + GONE * slack()
    for kind in PHASES:
        status, upstream = (503, None) if kind == "not begun" else (200, 200)
        window = (DRAIN - 0.5, DRAIN + SOON)
        logged(leaving, _id(kind), "draining", status, upstream=upstream, attempts=1, seconds=window)
    for kind in LATE:
        logged(leaving, _id(kind), "draining", 503)
    assert far.asked(model) == []
    assert "Traceback" not in leaving.service.log.read_text()


def test_p2_an_endless_answer_gets_an_honest_end(leaving: Sluice, far: Far, model: str) -> None:
    drained(leaving, far, model, master)


def test_p3_it_is_the_same_when_every_process_is_told_twice(leaving: Sluice, far: Far, model: str) -> None:
    drained(leaving, far, model, everybody_twice)


def test_p2_a_request_that_came_with_its_connection_is_refused_in_words_too(
    leaving: Sluice, far: Far, model: str
) -> None:
    """Its first bytes were read without waiting for them, so that it may look like an idle connection."""
    far.script(model, endless)
    name = new_id()
    request = chat(model, name)
    with connect(leaving.port, chat(model, new_id())) as busy, connect(leaving.port, request[:20]) as client:
        busy.until(WORD.encode())
        wait_for(lambda: kernel.worker_of(leaving.service, client.port()))
        master(leaving)
        wait_for(lambda: not kernel.listening(leaving.port))
        assert not client.take(0.001)
        assert not client.ended
        client.send(request[20:])
        client.end()
        assert client.answer().failure() == (503, "draining")
    logged(leaving, name, "draining", 503)


def test_p2_a_reader_who_reads_nothing_does_not_hold_the_process(leaving: Sluice, far: Far, model: str) -> None:
    """The chat waits for the client to take something, so that nothing can be told to that one any more."""

    def flood(peer: Peer) -> None:
        peer.send(scripts.CHUNKED)
        while True:
            peer.send(scripts.chunk(scripts.delta("x" * 16_000)))

    far.script(model, flood)
    with connect(leaving.port, chat(model, name := new_id(), mode="sse"), receive_buffer=4096) as client:
        (asked,) = wait_for(lambda: far.asked(model))
        time.sleep(0.3)  # until every buffer on the way is full
        told = time.monotonic()
        master(leaving)
        assert DRAIN - 0.1 < asked.wait_closed() - told < DRAIN + slack()
        assert leaving.service.process.wait(SECONDS) == 0
        client.end()
        assert not client.answer().whole
        assert b"[DONE]" not in client.received
    logged(leaving, name, "draining", 200, upstream=200, attempts=1, seconds=(DRAIN, DRAIN + SOON))


def test_p2_a_chat_that_is_being_refused_is_not_asked_for_again(processes: Processes, far: Far, model: str) -> None:
    """The words of the refusal still come, byte by byte, when the process must end; and nobody waits for them all."""

    def refuse(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 429 No\r\nRetry-After: 1\r\nContent-Length: 1000\r\n\r\n")
        while not peer.wait(0.02):
            peer.send(b" ")

    far.script(model, refuse, endless)
    hasty = Sluice(processes.fresh_service(environment(far, DRAIN_SECONDS="0.5"), LINE), far)
    with connect(hasty.port, chat(model, name := new_id())) as client:
        (asked,) = wait_for(lambda: far.asked(model))
        master(hasty)
        assert client.end()
        assert client.answer().failure() == (503, "draining")
        assert client.answer().headers["retry-after"] == "5"
        asked.wait_closed()
        assert hasty.service.process.wait(SECONDS) == 0
    logged(hasty, name, "draining", 503, upstream=429, attempts=1, seconds=(0.4, SOON))
    assert far.asked(model) == [asked]


def test_p18_a_worker_that_has_served_enough_ends_as_if_it_were_told(
    processes: Processes, far: Far, model: str
) -> None:
    """The last request is no chat: one that begins while its process is ending is refused."""
    line = LINE.replace("gunicorn", "gunicorn --max-requests 5")  # /healthz, by which the start is seen, is the first
    recycled = Sluice(processes.fresh_service(environment(far, **SHORT_DRAIN), line), far)
    far.script(model, endless)
    ending = far.script(f"{model}, ending", short(go_on := Event()))
    after = far.script(f"{model}, after", scripts.ok)
    names = [new_id(), new_id(), new_id(), new_id()]
    with (
        connect(recycled.port, chat(model, names[0])) as text,
        connect(recycled.port, chat(model, names[1], mode="sse")) as sse,
    ):
        for client in (text, sse):
            client.until(b"word ")
        with connect(recycled.port, chat(ending, names[2])) as last:
            last.until(b"0 ")
            started = time.monotonic()
            recycled.healthz_ms()
            go_on.set()
            last.until(b"0\r\n\r\n")
            assert (last.answer().whole, text_of(last)) == (True, WORDS)
        assert text.end() in {"fin", "reset"}
        assert sse.end() in {"fin", "reset"}
        assert DRAIN - 0.1 < time.monotonic() - started < DRAIN + GONE * slack()
        assert not text.answer().whole
        assert sse.answer().parts()[-2]["data"]["code"] == "draining"
        assert b"[DONE]" not in sse.answer().body
    with connect(recycled.port, chat(after, names[3])) as client:
        client.until(b"0\r\n\r\n", START_SECONDS)
        assert client.answer().body.decode() == ANSWER
    assert recycled.worker not in recycled.service.pids()
    for name in names[:2]:
        logged(recycled, name, "draining", 200, upstream=200, attempts=1, seconds=(DRAIN - 0.2, DRAIN + SOON))
    for name in names[2:]:
        logged(recycled, name, "ok", 200, upstream=200, attempts=1, seconds=(0, SOON))
