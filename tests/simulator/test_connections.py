"""What the simulator notes of its requests, and how it keeps its connections."""

import threading

import pytest

from tests.machine import slack
from tests.processes import Simulator, wait_for
from tests.raw import connect

from .questions import KEY, PATHS, chat, opened, post, question, request

END = b"\r\n0\r\n\r\n"


def test_it_says_that_it_is_ready(simulator: Simulator) -> None:
    answer = request(simulator, "GET", "/")
    assert (answer.status, answer.json()) == (200, {"simulator": "ready"})
    answer = request(simulator, "GET", "/elsewhere")
    assert answer.status == 404
    assert "/mistral/v1" in answer.json()["error"]["message"]


def test_it_notes_a_request_as_it_came_on_the_wire(simulator: Simulator) -> None:
    body = b'{"model": "demo@status-503", "messages": [{"role": "user", "content": "\xc3\xa9"}]}'
    path = b"/azure/openai/deployments/a%2Fb%40status-503/chat/completions?api-version=2024-10-21&x=%C3%A9"
    with connect(simulator.port) as connection:
        head = b"POST %s HTTP/1.1\r\nHost: h\r\nX-B: 2\r\napi-key: k\r\nX-A: 1\r\nX-B: 3\r\nContent-Length: %d\r\n\r\n"
        connection.send(head % (path, len(body)))
        for start in range(len(body)):
            connection.send(body[start : start + 1])
        connection.until(b"}}")
    (note,) = simulator.requests()
    assert (note["method"], note["path"], note["answered"]) == ("POST", path.decode(), 503)
    names = [["host", "h"], ["x-b", "2"], ["api-key", "k"], ["x-a", "1"], ["x-b", "3"]]
    assert note["headers"] == [*names, ["content-length", str(len(body))]]
    assert note["body"] == {"model": "demo@status-503", "messages": [{"role": "user", "content": "é"}]}
    assert (note["closed"], note["closedAfter"]) == (None, None)


def test_it_notes_refused_requests_and_those_without_json(simulator: Simulator) -> None:
    request(simulator, "POST", PATHS["groq"], question("demo"))
    request(simulator, "POST", PATHS["groq"], b"rubbish", KEY)
    first, second = simulator.requests()
    assert (first["answered"], first["body"]["model"]) == (401, "demo")
    assert (second["answered"], second["body"]) == (400, None)
    assert second["id"] == first["id"] + 1


def test_it_forgets_its_notes_when_told(simulator: Simulator) -> None:
    chat(simulator, "openai", "demo")
    assert request(simulator, "DELETE", "/requests").body == b"[]"
    assert simulator.requests() == []


def test_it_keeps_the_last_thousand_notes(simulator: Simulator) -> None:
    with connect(simulator.port) as connection:
        for number in range(1005):
            connection.send(post(PATHS["groq"], b'{"model": "m@status-400", "user": "%d"}' % number))
            connection.through(b"}}")
    notes = simulator.requests()
    assert (len(notes), notes[0]["body"]["user"], notes[-1]["body"]["user"]) == (1000, "5", "1004")


@pytest.mark.parametrize("fault", ["hang", "late-30", "silent", "slow-30", "comments", "stall", "endless", "pace-50"])
def test_it_notes_that_the_client_left_at_once(simulator: Simulator, fault: str) -> None:
    with opened(simulator, "openai", f"demo@{fault}") as connection:
        if fault in ("hang", "late-30"):
            wait_for(lambda: len(simulator.requests()) == 1)
        else:
            connection.until(b"\r\n\r\n")
        assert simulator.requests()[0]["closed"] is None
    wait_for(lambda: simulator.requests()[0]["closed"] == "client")
    assert simulator.requests()[0]["closedAfter"] < 2 * slack()
    assert simulator.requests()[0]["answered"] == (None if fault in ("hang", "late-30") else 200)


def test_it_notes_a_client_that_only_stops_sending(simulator: Simulator) -> None:
    with opened(simulator, "openai", "demo@silent") as connection:
        connection.until(b"\r\n\r\n")
        connection.leave("half")
        wait_for(lambda: simulator.requests()[0]["closed"] == "client")


@pytest.mark.parametrize("fault", ["cut", "reset"])
def test_it_notes_that_it_closed_the_connection_itself(simulator: Simulator, fault: str) -> None:
    with opened(simulator, "openai", f"demo@{fault}") as connection:
        connection.end()
    (note,) = simulator.requests()
    assert (note["closed"], note["answered"]) == ("server", 200)
    assert 0 <= note["closedAfter"] < 2 * slack()


def test_leaving_after_the_answer_is_nobodys_fault(simulator: Simulator) -> None:
    chat(simulator, "openai", "demo")
    assert simulator.requests()[0]["closed"] is None


def test_a_connection_serves_one_request_after_the_other(simulator: Simulator) -> None:
    with opened(simulator, "openai", "demo@events-1") as connection:
        for provider in PATHS:
            assert b"connection: keep-alive" in connection.through(END)
            connection.send(post(PATHS[provider], question("demo@events-1")))
        connection.until(END)
    assert [note["answered"] for note in simulator.requests()] == [200] * 5


def test_requests_sent_together_are_answered_in_order(simulator: Simulator) -> None:
    with connect(simulator.port) as connection:
        late, soon = question("first@late-0.1@events-1"), question("second@events-1")
        connection.send(post(PATHS["groq"], late) + post(PATHS["groq"], soon))
        data = connection.until(b'"model":"second')
    assert b'"model":"first' in data
    assert data.index(b'"model":"first') < data.index(b'"model":"second')


def test_a_client_that_wants_no_more_is_let_go(simulator: Simulator) -> None:
    with connect(simulator.port) as connection:
        connection.send(post(PATHS["groq"], question("demo")).replace(b"Host", b"Connection: close\r\nHost", 1))
        ended, data = connection.end(), connection.received
    assert (ended, data.endswith(END), b"connection: close" in data) == ("fin", True, True)


def test_what_is_not_http_is_refused(simulator: Simulator) -> None:
    with connect(simulator.port) as connection:
        connection.send(b"\x16\x03\x01 hello\r\n\r\n")
        ended, data = connection.end(), connection.received
    assert data.startswith(b"HTTP/1.1 400 ")
    assert ended in ("fin", "reset")


def test_many_streams_come_at_once(simulator: Simulator) -> None:
    statuses: list[int] = []
    streams = [
        threading.Thread(target=lambda: statuses.append(chat(simulator, "openai", "demo@pace-2").status))
        for _ in range(30)
    ]
    for stream in streams:
        stream.start()
    for stream in streams:
        stream.join()
    assert statuses == [200] * 30
