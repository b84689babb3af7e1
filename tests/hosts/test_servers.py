"""One battery for every WSGI server that docs/hosting.md has: what holds, and what happens where something cannot."""

import itertools
import json
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import Any

import pytest

from tests import raw, servers
from tests.far import Far, Peer, Script
from tests.far.scripts import ANSWER, CHUNKED, DONE, LAST, chunk, closing, delta, ok, sending
from tests.far.scripts import stop as finish
from tests.faults.sluice import environment
from tests.hosts.kinds import KINDS, Kind
from tests.processes import Processes, Service, healthy, stop, wait_for
from tests.raw import Client

IDLE = 12.0
"""Seconds after which a provider's silence ends a chat, whether or not somebody reads it."""
LEAVES = (("fin", False), ("fin", True), ("reset", True), ("half", True))
"""How readers leave, before the first byte or in mid-answer."""
SETTINGS = {
    "COMMIT_SECONDS": "0.3",
    "FIRST_EVENT_TIMEOUT_SECONDS": str(IDLE),
    "IDLE_TIMEOUT_SECONDS": str(IDLE),
    "STREAM_TIMEOUT_SECONDS": "60",
    "HEARTBEAT_SECONDS": "60",
    "BODY_TIMEOUT_SECONDS": "1",
    "WRITE_TIMEOUT_SECONDS": "1",
    "PYTHONUNBUFFERED": "1",
}
PROPER_END = "Server: It ends an answer properly although it was cut"
BEGUN = CHUNKED + chunk(delta())


@dataclass
class Host:
    """The service under one server."""

    kind: Kind
    service: Service
    far: Far

    def script(self, *scripts: Script) -> str:
        """Have the provider play this for a model of its own."""
        return self.far.script(raw.new_id(), *scripts)

    def log(self) -> str:
        return self.service.log.read_text(errors="replace")

    def record(self, request_id: str) -> dict[str, Any]:
        """Return a request's one record, whatever the server writes before it."""
        pattern = re.compile(rf'{{"event":"chat".*"{request_id}".*}}')
        (found,) = wait_for(lambda: pattern.findall(self.log()), 15)
        record: dict[str, Any] = json.loads(found)
        return record


@pytest.fixture(scope="module")
def far() -> Iterator[Far]:
    with Far() as running:
        yield running
    assert running.errors == []


@pytest.fixture(scope="module", params=KINDS)
def host(request: pytest.FixtureRequest, processes: Processes, far: Far) -> Iterator[Host]:
    """One server after the other, started once; the last test on each ends it."""
    kind = KINDS[request.param]
    settings = environment(far, **SETTINGS, DRAIN_SECONDS=str(kind.drain_seconds))
    with servers.own_folder({}) as folder, kind.start(processes, settings, folder) as service:
        yield Host(kind, service, far)
        stop(service.process)


def question(model: str, mode: str = "text", version: str = "1.1", request_id: str = "") -> bytes:
    """Write a chat, over a connection of its own: where there is no frame, its close is the answer's end."""
    return raw.chat(model, request_id or raw.new_id(), "Connection: close", mode=mode, version=version)


def is_stopping(host: Host) -> bool:
    """Tell whether the service takes nobody new, or says that it is not ready. Apache has another one answer then."""
    if host.kind.ending != signal.SIGTERM:
        return True
    try:
        with raw.connect(host.service.port, b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n") as client:
            return b" 200 " not in client.take(0.5)
    except ConnectionError:
        return True


def looks_whole(client: Client) -> bool:
    """Read an answer, and tell whether it ends as a whole one does: its frame says so, or it has none and is closed."""
    while not (client.ended or client.received.endswith(b"\r\n0\r\n\r\n")):
        assert client.take() or client.ended, client.received
    answer = client.answer()
    return answer.whole if "transfer-encoding" in answer.headers else client.ended == "fin"


def reads_whole(client: Client) -> bool:
    """Read an answer and let go of its connection at once, for which gunicorn's threads wait one after the other."""
    try:
        return looks_whole(client)
    finally:
        client.socket.close()


@pytest.mark.parametrize("mode", ["text", "sse"])
def test_each_piece_arrives_before_the_next_is_written(host: Host, mode: str) -> None:
    arrived = [Event() for _ in range(3)]

    def script(peer: Peer) -> None:
        peer.send(CHUNKED)
        for number, event in enumerate(arrived):
            peer.send(chunk(delta(f"piece{number}")))
            assert event.wait(raw.SECONDS)
        peer.send(chunk(finish(), DONE), LAST)

    with raw.connect(host.service.port, question(host.script(script), mode)) as client:
        for number, event in enumerate(arrived):
            client.until(b"piece%d" % number)
            event.set()
        assert looks_whole(client)


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_a_cut_text_shows_where_the_server_lets_it(host: Host, version: str) -> None:
    """What was written before it has arrived, whatever ends it."""
    request_id = raw.new_id()
    with raw.connect(host.service.port, question(host.script(closing(BEGUN)), "text", version, request_id)) as client:
        shown = not looks_whole(client)
        assert re.search(rb"%b.*\[This answer is incomplete\. [^]]+\]" % ANSWER.encode(), client.received, re.DOTALL)
    assert shown == {"1.1": host.kind.shows_cuts, "1.0": host.kind.shows_cuts_1_0}[version]
    assert host.record(request_id)["outcome"] == "up_truncated"


def test_a_cut_event_stream_says_so(host: Host) -> None:
    with raw.connect(host.service.port, question(host.script(closing(BEGUN)), "sse")) as client:
        assert looks_whole(client)
        assert parts(client)[-1]["type"] == "error"


def parts(client: Client) -> list[dict[str, Any]]:
    """Return the JSON of server-sent events, however they are framed."""
    return [json.loads(line[6:]) for line in client.received.decode().split("\n") if line.startswith("data: {")]


def test_the_provider_is_left_when_the_reader_leaves(host: Host) -> None:
    """Before the first byte, in mid-answer, and behind a half close; elsewhere the provider's silence ends it."""
    with ExitStack() as stack:
        calls = []
        for mode, (way, begun) in itertools.product(("text", "sse"), LEAVES):
            model, request_id = host.script(sending(BEGUN if begun else CHUNKED)), raw.new_id()
            request = question(model, mode, request_id=request_id)
            client = stack.enter_context(raw.connect(host.service.port, request))
            asked = wait_for(partial(host.far.asked, model))[0]
            if begun:
                client.until(ANSWER.encode())
            calls.append((client, way, asked, request_id))
        for client, way, _, _ in calls:
            client.leave(way)
        for _, _, asked, _ in calls:
            asked.wait_closed(IDLE + 10)
        outcomes = {host.record(request_id)["outcome"] for _, _, _, request_id in calls}
    assert outcomes == ({"client_gone"} if host.kind.feels_leaves else {"up_timeout", "up_idle"})


def test_a_reader_who_leaves_during_a_write_is_recorded(host: Host) -> None:
    """The provider bills what was read by then. Here no chat waits for it when its reader leaves."""
    sent: list[int] = []
    seen = [0]

    def flood(peer: Peer) -> None:
        peer.send(CHUNKED)
        while True:
            peer.send(chunk(delta(ANSWER + "x" * 16_000)))
            sent.append(1)

    def is_stuck() -> bool:
        seen.append(len(sent))
        return 0 < seen[-2] == seen[-1]

    model, request_id = host.script(flood), raw.new_id()
    with raw.connect(host.service.port, question(model, request_id=request_id), receive_buffer=4096) as client:
        client.until(ANSWER.encode())
        wait_for(is_stuck)
        client.leave("reset")
    record = host.record(request_id)
    assert record["outcome"] in {"client_gone", "client_stalled"}
    assert record["events"] > 0
    assert record["bytesOut"] > 0


def test_many_answers_run_at_once(host: Host) -> None:
    go_on = Event()

    def script(peer: Peer) -> None:
        peer.send(BEGUN)
        assert go_on.wait(raw.SECONDS)
        peer.send(chunk(finish(), DONE), LAST)

    with ExitStack() as stack:
        models = [host.script(script) for _ in range(20)]
        requests = [question(model) for model in models]
        clients = [stack.enter_context(raw.connect(host.service.port, request)) for request in requests]
        for client in clients:
            client.until(ANSWER.encode())
        assert healthy(host.service)
        go_on.set()
        assert all(looks_whole(client) for client in clients)


def test_a_question_in_chunks_is_read_or_refused_with_a_reason(host: Host) -> None:
    request = raw.head(raw.new_id(), "Transfer-Encoding: chunked", "Connection: close")
    with raw.connect(host.service.port, request + raw.chunked(raw.body(host.script(ok)))) as client:
        client.until(b"\r\n\r\n")
        client.end()
        assert client.answer().status == host.kind.chunked


def test_headers_of_20_kilobytes_are_taken(host: Host) -> None:
    """Cookies of a login can be that long, and each field is below the 8 KB that every server takes."""
    fields = [f"X-Field-{number}: {'x' * 6600}" for number in range(3)]
    request = raw.chat(host.script(ok), raw.new_id(), "Connection: close", *fields)
    with raw.connect(host.service.port, request) as client:
        client.end()
        assert client.answer().status == 200


def test_no_header_moves_the_service_or_ends_it(host: Host) -> None:
    odd = [b"SCRIPT_NAME: /x", b"SCRIPT-NAME: /x", *[b"X-Forwarded-Proto: \xff"] * host.kind.survives_schemes]
    is_over = Event()

    def script(peer: Peer) -> None:
        peer.send(CHUNKED, chunk(delta("Hello")))
        assert is_over.wait(raw.SECONDS)
        peer.send(chunk(finish(), DONE), LAST)

    with raw.connect(host.service.port, question(host.script(script))) as reader:
        reader.until(b"Hello")
        for header in odd:
            request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%b\r\n\r\n" % header
            with raw.connect(host.service.port, request) as client:
                client.end()
                assert (client.answer().status, client.answer().body) == (200, b'{"status":"ok"}\n')
        is_over.set()
        assert looks_whole(reader)


def test_a_body_that_stalls_is_refused(host: Host) -> None:
    body = raw.body(host.script(ok))
    request = raw.head(raw.new_id(), f"Content-Length: {len(body)}", "Connection: close") + body[:10]
    with raw.connect(host.service.port, request) as client:
        if host.kind.late is None:
            assert client.take(1.5) == b""
            return
        client.end()
        assert client.answer().status == host.kind.late


def test_a_cut_answer_is_no_traceback_in_the_log(host: Host) -> None:
    """Nor is one whose reader left. Embedded in Apache there is no other way to cut, and mod_wsgi has its own words."""
    request_id = raw.new_id()
    with raw.connect(host.service.port, question(host.script(closing(BEGUN)), request_id=request_id)) as client:
        client.end()
    host.record(request_id)
    assert host.log().count("Traceback") == host.log().count("[Errno 104] the answer was cut")
    assert bool(host.log().count("Traceback")) == host.kind.logs_cuts


def test_what_the_server_cannot_keep_is_told_once(host: Host) -> None:
    """At the first chat that it is true of. The warnings have a queue of their own, so a record may be sooner there."""
    if not host.kind.shows_cuts:
        wait_for(lambda: PROPER_END in host.log())
    assert host.log().count(PROPER_END) == (not host.kind.shows_cuts)
    assert host.log().count("Server: It answers one request at a time") == 0


def test_every_answer_ends_honestly_when_the_server_stops(host: Host) -> None:
    """Where it lets chats go on, those that end soon are whole, and the others tell why they are not."""
    go_on = Event()

    def short(peer: Peer) -> None:
        peer.send(BEGUN)
        go_on.wait(raw.SECONDS)
        peer.send(chunk(finish(), DONE), LAST)

    def endless(peer: Peer) -> None:
        peer.send(CHUNKED)
        while not peer.wait(0.05):
            peer.send(chunk(delta()))

    with ExitStack() as stack:
        clients, request_ids = [], []
        for mode, script in itertools.product(("text", "sse"), (short, endless, sending(BEGUN))):
            request_ids.append(raw.new_id())
            request = question(host.script(script), mode, request_id=request_ids[-1])
            clients.append(stack.enter_context(raw.connect(host.service.port, request)))
            clients[-1].until(ANSWER.encode())
        host.service.process.send_signal(host.kind.ending)
        if host.kind.drains:
            wait_for(partial(is_stopping, host), 10)
            go_on.set()
        with ThreadPoolExecutor(len(clients)) as readers:
            whole = list(readers.map(reads_whole, clients))
        go_on.set()
    drains, cuts_look_whole = host.kind.drains, not host.kind.shows_cuts
    assert whole == [drains, cuts_look_whole, cuts_look_whole, drains, drains, drains]
    assert [b"[This answer is incomplete." in client.received for client in clients[1:3]] == [drains] * 2
    assert [parts(client)[-1]["type"] == "error" for client in clients[4:]] == [drains] * 2
    if drains:
        assert [host.record(request_id)["status"] for request_id in request_ids] == [200] * len(request_ids)
