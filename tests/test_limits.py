"""Our own limits: too large, too slow, too many; and what is no chat request at all."""

import json
from collections.abc import Mapping
from contextlib import suppress

import pytest

from tests import raw
from tests.client import HELLO, Reply, ask, begun, chat, connected, read
from tests.contract.test_failures import assert_failure
from tests.processes import Processes, Service, Simulator, wait_for
from tests.raw import Client, connect

HEAD = "POST /api/chat/openai HTTP/1.1\r\nHost: localhost\r\n"
GOOD = json.dumps({"chatSettings": {"model": "demo"}, "messages": HELLO}).encode()


@pytest.fixture(scope="module")
def small(processes: Processes, environment: Mapping[str, str]) -> Service:
    """The service with limits that a test reaches quickly."""
    limits = {
        "MAX_BODY_BYTES": "65536",
        "BODY_TIMEOUT_SECONDS": "0.5",
        "MAX_STREAMS": "2",
    }
    return processes.service({**environment, **limits})


def answered(client: Client) -> Reply:
    """Read one answer."""
    return read(begun(client.socket))


def test_a_body_that_says_it_is_too_large_is_not_read(small: Service) -> None:
    with connect(small.port, f"{HEAD}Content-Length: 99999999\r\n\r\n".encode()) as client:
        assert_failure(answered(client), 413, "too_large", r"The request is larger than 64 KiB\.")


def test_a_chunked_body_that_grows_too_large_is_refused(small: Service) -> None:
    chunk = b"2000\r\n" + b" " * 0x2000 + b"\r\n"
    with connect(small.port, f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk * 9 + b"0\r\n\r\n") as client:
        assert_failure(answered(client), 413, "too_large", r"The request is larger than 64 KiB\.")


def test_a_chunked_body_within_the_limit_is_taken(small: Service) -> None:
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD)
    with connect(small.port, f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode() + body) as client:
        assert answered(client).status == 200


def test_a_broken_chunk_is_refused(small: Service) -> None:
    with connect(small.port, f"{HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode()) as client:
        assert_failure(answered(client), 400, "bad_body", r"The body is not valid JSON: .*")


def test_a_body_that_comes_too_slowly_is_given_up(small: Service) -> None:
    with connect(small.port, f"{HEAD}Content-Length: 100\r\n\r\n{{".encode()) as client:
        assert_failure(answered(client), 408, "body_timeout", r".*did not arrive in time.*")


def test_a_body_shorter_than_it_says_is_refused(small: Service) -> None:
    with connect(small.port, f"{HEAD}Content-Length: 100\r\n\r\n{{".encode()) as client:
        client.leave("half")
        assert_failure(answered(client), 400, "bad_body", r".*ends before it is whole.*")


def test_a_file_upload_is_refused(service: Service) -> None:
    reply = ask(service, "/api/chat/openai", GOOD, content_type="multipart/form-data; boundary=x")
    assert_failure(reply, 415, "bad_type", r".*file upload.*")


def test_a_compressed_body_is_refused(service: Service) -> None:
    assert_failure(ask(service, "/api/chat/openai", GOOD, content_encoding="gzip"), 415, "bad_type", r".*compressed.*")


@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded", "text/plain", "x/y"])
def test_json_is_taken_under_any_other_name(service: Service, content_type: str) -> None:
    assert ask(service, "/api/chat/openai", GOOD, content_type=content_type).status == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[]", "The body is not valid JSON: it is not an object."),
        (b"[" * 100_000, "The body is not valid JSON: it is nested too deeply."),
        (b"{}", "chatSettings: Missing data for required field."),
        (b'{"chatSettings": {"model": ""}, "messages": []}', "chatSettings.model: Not a model's name."),
        (b'{"chatSettings": {"model": "m"}, "messages": []}', "messages: Must be a list of 1 to 1000 messages."),
        (
            b'{"chatSettings": {"model": "m"}, "messages": [{"role": "user", "content": [{"type": "x"}]}]}',
            "messages[0].content[0].type: Must be text or image_url.",
        ),
    ],
)
def test_what_is_not_a_chat_is_refused_by_field_and_reason(service: Service, body: bytes, message: str) -> None:
    reply = ask(service, "/api/chat/groq", body)
    assert (reply.status, reply.json()["code"], reply.json()["message"]) == (400, "bad_body", message)


def test_one_chat_too_many_is_refused_and_the_others_go_on(small: Service, simulator: Simulator) -> None:
    requests = [raw.chat("demo@endless", raw.new_id(), provider=provider) for provider in ("groq", "openai")]
    with connect(small.port, requests[0]) as one, connect(small.port, requests[1]) as two:
        for stream in (one, two):
            stream.until(b"\r\n\r\n")
        reply = chat(small, "groq", "demo")
        assert_failure(reply, 503, "shed", r".*as many chats as it can.*")
        assert reply.headers["Retry-After"] == "1"
        assert ask(small, "/healthz", None, method="GET").status == 200
        assert all(stream.take() for stream in (one, two))
    wait_for(lambda: chat(small, "groq", "demo").status == 200)


def test_a_seat_is_free_again_after_every_kind_of_end(small: Service) -> None:
    for model in ("demo", "demo@status-429", "demo@cut-3", "demo@error-3", "demo@html", "unknown-model"):
        for _ in range(3):
            assert chat(small, "groq", model).status != 503


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"BREW coffee\r\n\r\n", 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 99999 + b"\r\n\r\n", 431),
        (f"{HEAD}Transfer-Encoding: xchunked\r\n\r\n".encode(), 501),
        (f"{HEAD}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n".encode(), 400),
    ],
)
def test_what_is_not_http_is_answered_in_json_too(service: Service, request_bytes: bytes, status: int) -> None:
    with connect(service.port, request_bytes) as client:
        assert_failure(answered(client), status, "bad_body", r"The .*\.")


def test_a_refused_body_is_not_taken_to_its_end(small: Service) -> None:
    with connect(small.port, f"{HEAD}Content-Length: 99999999\r\n\r\n".encode()) as client:
        assert answered(client).status == 413
        sent = 0
        with suppress(ConnectionError):
            while sent < 50_000_000:
                sent += client.socket.send(b" " * 65536)
    assert sent < 30_000_000  # what is thrown away, and what lies in the buffers of the kernel


def test_a_request_may_follow_a_refused_one_with_a_short_body(small: Service) -> None:
    with connected(small) as connection:
        connection.request("POST", "/api/chat/openai", GOOD, {"Via": "1.1 proxy"})
        assert read(connection.getresponse()).status == 401
        taken = connection.sock
        connection.request("GET", "/healthz")
        assert read(connection.getresponse()).status == 200
        assert connection.sock is taken


def test_an_unknown_address_is_404(service: Service) -> None:
    for path in ("/nowhere", "/api/chat/nobody"):
        assert_failure(ask(service, path, None, method="GET"), 404, "not_found", r"There is nothing at this address\.")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_a_wrong_method_is_405(service: Service, method: str) -> None:
    reply = ask(service, "/api/chat/openai", None, method=method)
    assert_failure(reply, 405, "method", rf"This address does not take {method}\.")
    assert set(reply.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}


def test_head_has_no_body(service: Service) -> None:
    reply = ask(service, "/api/chat/openai", None, method="HEAD")
    assert (reply.status, reply.body) == (405, b"")


def test_a_request_id_of_a_proxy_is_kept_and_any_other_replaced(service: Service) -> None:
    given = "0123456789-abcdef_0123"
    assert ask(service, "/healthz", None, method="GET", x_request_id=given).headers["X-Request-ID"] == given
    assert ask(service, "/healthz", None, method="GET", x_request_id="a b").headers["X-Request-ID"] != "a b"
