"""The same answers under every kind of server: gevent's, as deployed; threads, as older hosting has them; waitress.

Only gevent's needs `gunicorn.conf.py`, which patches the sockets. gunicorn reads that unasked from the working
directory, so whoever wants threads has to name another file, and be it an empty one. waitress reads none.
"""

import json
import re
import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from app.simulator import ANSWER, EMOJI, words
from tests import raw
from tests.client import HELLO, Reply, ask, chat
from tests.processes import Processes, Service, Simulator, wait_for

THREADS = "gunicorn --config /dev/null --no-control-socket --worker-class gthread --threads 20 wsgi:app"
WAITRESS = "waitress-serve --threads 20 --listen 127.0.0.1:{port} wsgi:app"
UI = "text/event-stream"
BEGUN = words(2)[1].encode()
SERVERS_OWN = {"connection", "date", "server", "x-request-id"}
"""Headers in which servers, or two requests, differ and may."""


@pytest.fixture(scope="module", params=[THREADS, WAITRESS], ids=["gthread", "waitress"])
def other(request: pytest.FixtureRequest, processes: Processes, environment: Mapping[str, str]) -> Service:
    """The service under a server that it is not deployed with."""
    return processes.service(environment, request.param)


@pytest.fixture(scope="module")
def threaded(processes: Processes, environment: Mapping[str, str]) -> Service:
    return processes.service(environment, THREADS)


def headers(reply: Reply) -> set[tuple[str, str]]:
    named = {(name.lower(), value) for name, value in reply.headers.items()}
    return {(name, value) for name, value in named if name not in SERVERS_OWN}


def events(reply: Reply) -> list[Any]:
    """Return a UI stream's events, neighbouring deltas joined: how many there are is for the segments to decide."""
    found: list[Any] = []
    for event in reply.events():
        if isinstance(event, dict) and "delta" in event and "delta" in found[-1]:
            found[-1]["delta"] += event["delta"]
        else:
            found.append(event)
    return found


TEXTS = {"demo": ANSWER, "demo@emoji": EMOJI, "demo@bytewise": ANSWER, "demo@emoji@bytewise": EMOJI}


@pytest.mark.parametrize("model", [*TEXTS, "demo@reasoning", "demo@crlf", "demo@nodone", "demo@length"])
def test_a_text_is_the_same_bytes(service: Service, other: Service, model: str) -> None:
    expected, found = (chat(server, "openai", model) for server in (service, other))
    note = "\n\n[This answer is incomplete. It reached the limit of its length.]" if model == "demo@length" else ""
    assert found.body == expected.body == (TEXTS.get(model, ANSWER) + note).encode()
    assert (found.status, found.cut, headers(found)) == (200, False, headers(expected))


@pytest.mark.parametrize("model", [*TEXTS, "demo@reasoning", "demo@length", "demo@error-3", "demo@cut-3"])
def test_a_ui_stream_is_the_same_events(service: Service, other: Service, model: str) -> None:
    expected, found = (chat(server, "openai", model, accept=UI) for server in (service, other))
    assert events(found) == events(expected)
    assert len(events(found)) >= 5
    assert (found.status, found.cut, headers(found)) == (200, False, headers(expected))


@pytest.mark.parametrize("accept", ["", UI], ids=["text", "ui"])
def test_an_answer_is_passed_on_as_it_is_written(other: Service, accept: str) -> None:
    replies = (chat(other, "openai", "demo@pace-60@events-8", accept=accept) for _ in range(3))
    assert any(reply.is_spread(4, 7 * 0.06 * 0.8) for reply in replies), "joined, or held back and sent at once"


@pytest.mark.parametrize("model", ["demo@status-429@retry-7", "demo@status-503@html", "demo@echo-key", "demo@cut-0"])
def test_a_refusal_is_the_same_words(service: Service, other: Service, model: str) -> None:
    assert_same_error(*(chat(server, "openai", model) for server in (service, other)))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/chat/openai", b"{"),
        ("POST", "/api/chat/openai", b""),
        ("POST", "/api/chat/nobody", b"{}"),
        ("PUT", "/api/chat/openai", b"{}"),
    ],
)
def test_what_is_wrong_with_a_request_is_the_same_words(
    service: Service, other: Service, method: str, path: str, body: bytes
) -> None:
    assert_same_error(*(ask(server, path, body, method=method) for server in (service, other)))


def assert_same_error(expected: Reply, found: Reply) -> None:
    assert found.json() == expected.json() | {"requestId": found.headers["X-Request-ID"]}
    assert (found.status, found.cut, headers(found)) == (expected.status, False, headers(expected))
    assert found.status >= 400


def test_a_question_in_chunks_is_read(service: Service, other: Service) -> None:
    body = json.dumps({"chatSettings": {"model": "demo"}, "messages": HELLO}).encode()
    halves = (body[:20], body[20:])
    assert asked_in_chunks(other, halves).body == asked_in_chunks(service, halves).body == ANSWER.encode()


def asked_in_chunks(service: Service, parts: Iterable[bytes]) -> raw.Answer:
    request = raw.head(raw.new_id(), "Transfer-Encoding: chunked") + raw.chunked(*parts)
    with raw.connect(service.port, request) as client:
        return client.finish()


@pytest.mark.parametrize("model", ["demo@cut-3", "demo@truncated-3", "demo@error-3", "demo@badjson-3"])
def test_a_text_that_broke_off_is_cut_without_its_last_chunk(other: Service, model: str) -> None:
    """Under waitress too: it closes the connection, and the chunk of no bytes that would say "whole" is not there."""
    with raw.connect(other.port, raw.chat(model, raw.new_id())) as client:
        assert client.end() == "fin"
    head, _, body = client.received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"transfer-encoding: chunked" in head.lower()
    assert b"\r\n0\r\n" not in body
    reply = chat(other, "openai", model)
    text, _, note = reply.body.decode().partition("\n\n")
    assert (reply.status, text, reply.cut) == (200, "".join(words(3)), True)
    assert re.fullmatch(r"\[This answer is incomplete\. .{10,}\]", note)


def test_a_cut_shows_over_http_1_0_too(threaded: Service) -> None:
    """Where there are no chunks, a plain close is how a whole answer ends. waitress hands out no socket to reset."""
    with raw.connect(threaded.port, raw.chat("demo@cut-3", raw.new_id(), version="1.0")) as client:
        assert client.end() == "reset"


@pytest.mark.parametrize("mode", ["text", "sse"])
@pytest.mark.parametrize("fault", ["@stall-3", "@endless"])
def test_a_half_closed_reader_over_http_1_0_sees_a_reset(threaded: Service, fault: str, mode: str) -> None:
    """It counts as gone, but it still reads."""
    with raw.connect(threaded.port, raw.chat(f"demo{fault}", raw.new_id(), mode=mode, version="1.0")) as client:
        client.until(BEGUN)
        client.leave("half")
        assert client.end() == "reset"


@pytest.mark.parametrize("mode", ["text", "sse"])
@pytest.mark.parametrize("fault", ["@hang", "@silent", "@stall-3", "@endless"])
def test_a_reader_leaving_a_thread_closes_the_provider(
    threaded: Service, simulator: Simulator, fault: str, mode: str
) -> None:
    """No event loop is there to tell: the thread has to look, also while the provider sends nothing."""
    marker = uuid.uuid4().hex
    with raw.connect(threaded.port, raw.chat(f"{marker}{fault}", raw.new_id(), mode=mode)) as client:
        simulator.received(marker)
        if fault in ("@stall-3", "@endless"):
            client.until(BEGUN)
    assert wait_for(lambda: simulator.received(marker)["closed"], 2) == "client"


def test_an_early_leave_over_http_1_0_leaves_no_traceback(
    processes: Processes, environment: Mapping[str, str], simulator: Simulator
) -> None:
    service, marker = processes.fresh_service(environment, THREADS), uuid.uuid4().hex
    with raw.connect(service.port, raw.chat(f"{marker}@hang", raw.new_id(), version="1.0")):
        wait_for(lambda: simulator.received(marker))
    wait_for(lambda: '"client_gone"' in service.log.read_text())
    time.sleep(0.2)  # gunicorn's own line, if there is one, comes after ours
    assert "Traceback" not in service.log.read_text()
