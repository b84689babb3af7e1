"""SIGTERM: what runs may finish for a while, then gets an honest end; nothing new is taken."""

import http.client
import os
import signal
import socket
from collections.abc import Mapping

import pytest

from app.simulator import words
from tests.client import ask, chat_bytes, raw, read
from tests.processes import Processes, Service, Simulator, wait_for


@pytest.fixture
def leaving(processes: Processes, environment: Mapping[str, str]) -> Service:
    """A service of the test's own, with a second to drain."""
    return processes.fresh_service({**environment, "DRAIN_SECONDS": "1"})


def begun(sock: socket.socket) -> http.client.HTTPResponse:
    """Return a response whose first bytes are here."""
    response = http.client.HTTPResponse(sock)
    response.begin()
    assert response.read1(1)
    return response


def test_a_running_answer_may_finish(leaving: Service) -> None:
    with raw(leaving, chat_bytes("groq", "demo@pace-60@events-8")) as sock:
        response = begun(sock)
        leaving.process.send_signal(signal.SIGTERM)
        reply = read(response)
    assert (reply.cut, reply.body.decode()) == (False, "".join(words(8))[1:])
    assert leaving.process.wait(10) == 0


def test_an_endless_answer_gets_an_honest_end(leaving: Service, simulator: Simulator) -> None:
    with (
        raw(leaving, chat_bytes("groq", "demo@endless")) as text,
        raw(leaving, chat_bytes("groq", "demo@stall-3", "Accept: text/event-stream")) as silent,
    ):
        streams = begun(text), begun(silent)
        for pid in leaving.pids():
            os.kill(pid, signal.SIGTERM)  # Heroku tells every process, and may do so twice.
        os.kill(leaving.process.pid, signal.SIGTERM)
        replies = [read(stream) for stream in streams]
    assert replies[0].cut
    assert b'"code":"draining"' in replies[1].body
    assert b"[DONE]" not in replies[1].body
    assert leaving.process.wait(10) == 0
    assert wait_for(lambda: [seen["closed"] for seen in simulator.requests()[-2:]] == ["client", "client"])
    assert "Traceback" not in leaving.log.read_text()


def test_nothing_new_is_taken_over_a_connection_that_is_still_open(leaving: Service) -> None:
    """A chat runs, so the worker stays; a second connection from before asks for another."""
    with raw(leaving, chat_bytes("groq", "demo@endless")) as sock, raw(leaving, b"") as other:
        begun(sock)
        other.sendall(b"GET /readyz HT")
        leaving.process.send_signal(signal.SIGTERM)
        wait_for(lambda: b"Handling signal: term" in leaving.log.read_bytes())
        wait_for(lambda: not listening(leaving))
        other.sendall(b"TP/1.1\r\nHost: localhost\r\n\r\n")
        response = http.client.HTTPResponse(other)
        response.begin()
        assert (response.status, response.headers["Retry-After"]) == (503, "5")


def test_idle_connections_do_not_hold_the_process(leaving: Service) -> None:
    with raw(leaving, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") as sock:
        assert sock.recv(1)
        leaving.process.send_signal(signal.SIGTERM)
        assert leaving.process.wait(8) == 0


def listening(service: Service) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", service.port)) == 0


def test_ready_is_not_the_same_as_alive(service: Service) -> None:
    assert ask(service, "/healthz", None, method="GET").status == 200
    assert ask(service, "/readyz", None, method="GET").status == 200
