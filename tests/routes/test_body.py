"""The request's body, through the routes: what is read, and what is refused before anybody is asked."""

import errno
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app import create_app
from app.config import Settings
from app.failure import Failure
from app.routes.body import MAX_VALUES, VALUE_BYTES, read_json
from tests.machine import slack

HELLO = {"chatSettings": {"model": "gpt-4o"}, "messages": [{"role": "user", "content": "Hello?"}]}
LIMIT = 256 * 1024
NO_KEY = "OpenAI API Key not found. Please set it in your profile settings."
"""What a chat is told that is whole: nobody has set a key here."""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    path: Path = tmp_path_factory.mktemp("database") / "sluice.db"
    return create_app(Settings(database_url=f"sqlite:///{path}", max_body_bytes=LIMIT, rate_limit="1000/second"))


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    with app.test_client() as client:
        yield client


def send(client: FlaskClient, body: object, **headers: str) -> TestResponse:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/api/chat/openai", data=data, headers=named)


def said(response: TestResponse) -> tuple[int, str, str]:
    body = response.get_json()
    assert set(body) == {"message", "code", "requestId"}
    assert response.headers["Cache-Control"] == "no-store"
    return response.status_code, body["code"], body["message"]


def with_content(text: bytes) -> bytes:
    """Write a chat whose message's content is this JSON."""
    return b'{"chatSettings":{"model":"m"},"messages":[{"role":"user","content":%b}]}' % text


GOOD = {
    "a chat": json.dumps(HELLO).encode(),
    "white space around": b" \r\n\t" + json.dumps(HELLO).encode() + b"\n",
    "characters as themselves": json.dumps({**HELLO, "x": "é😀"}, ensure_ascii=False).encode(),
    "characters escaped": with_content(rb'"\u00e9\ud83d\ude00"'),
    "what is ignored may be anything": json.dumps({**HELLO, "x": [None, 1.5, -1e300, {"y": "\0"}]}).encode(),
    "texts that look like marks": json.dumps({**HELLO, 'a\\":': 1, "b": ":\\", "c": '":"', "d": '\\"'}).encode(),
    "as many values as may be": json.dumps(HELLO).encode()[:-1] + b',"x":[' + b"1," * (MAX_VALUES - 8) + b"1]}",
    "some depth": json.dumps(HELLO).encode()[:-1] + b',"x":' + b"[" * 100 + b"]" * 100 + b"}",
    "the same key in two objects": with_content(b'"a"').replace(b'"m"', b'"m","x":{"model":"n"}'),
    "an empty key": json.dumps({**HELLO, "": 1}).encode(),
    "as long as may be": json.dumps(HELLO).encode().ljust(LIMIT),
}


@pytest.mark.parametrize("text", [b",", b"[", b'\\"', b"\\\\", b'\\\\\\",{'], ids=repr)
def test_a_text_may_hold_any_number_of_marks(client: FlaskClient, text: bytes) -> None:
    body = with_content(b'"%b"' % (text * (LIMIT // len(text) // 2)))
    assert said(send(client, body)) == (400, "missing_key", NO_KEY)


@pytest.mark.parametrize("body", GOOD.values(), ids=GOOD)
def test_a_body_that_is_whole_is_read(client: FlaskClient, body: bytes) -> None:
    assert said(send(client, body)) == (400, "missing_key", NO_KEY)


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain;charset=UTF-8",
        "application/json",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "application/x+json",
        "nonsense",
        "text/html",
    ],
)
def test_any_content_type_but_a_file_upload_is_taken(client: FlaskClient, content_type: str) -> None:
    headers = {"content_type": content_type} if content_type else {}
    assert said(send(client, HELLO, **headers)) == (400, "missing_key", NO_KEY)


@pytest.mark.parametrize(
    "headers",
    [
        {"content_type": "multipart/form-data; boundary=x"},
        {"content_encoding": "gzip"},
        {"content_encoding": "br", "content_type": "application/json"},
    ],
    ids=str,
)
def test_a_file_upload_or_a_compressed_body_is_refused(client: FlaskClient, headers: dict[str, str]) -> None:
    status, code, message = said(send(client, HELLO, **headers))
    assert (status, code) == (415, "bad_type")
    assert message == "The body must be plain JSON, not a file upload and not compressed."


NOT_JSON = {
    "nothing": b"",
    "white space": b" \n",
    "a list": b"[]",
    "a list of chats": b"[" + json.dumps(HELLO).encode() + b"]",
    "null": b"null",
    "a string": b'"chat"',
    "a number": b"42",
    "true": b"true",
    "words": b"hello",
    "half a body": json.dumps(HELLO).encode()[:-1],
    "two bodies": json.dumps(HELLO).encode() * 2,
    "more after it": json.dumps(HELLO).encode() + b"x",
    "a form": b"model=m&messages=x",
    "single quotes": b"{'chatSettings': 1}",
    "a trailing comma": b'{"chatSettings":{"model":"m"},}',
    "a comment": b'{/* a */"chatSettings":{"model":"m"}}',
    "NaN": b'{"chatSettings":{"model":"m","temperature":NaN}}',
    "Infinity": b'{"chatSettings":{"model":"m","temperature":Infinity}}',
    "-Infinity where it is ignored": json.dumps(HELLO).encode()[:-1] + b',"x":-Infinity}',
    "a number of 101 digits": json.dumps(HELLO).encode()[:-1] + b',"x":' + b"9" * 101 + b"}",
    "a fraction of 101 digits": json.dumps(HELLO).encode()[:-1] + b',"x":0.' + b"9" * 101 + b"}",
    "a number of 5000 digits": json.dumps(HELLO).encode()[:-1] + b',"x":' + b"9" * 5000 + b"}",
    "1e400": json.dumps(HELLO).encode()[:-1] + b',"x":1e400}',
    "too many values": json.dumps(HELLO).encode()[:-1] + b',"x":[' + b"1," * (MAX_VALUES - 7) + b"1]}",
    "a key twice": json.dumps(HELLO).encode()[:-1] + b',"messages":[]}',
    "a key twice, deep inside": b'{"chatSettings":{"model":"m","model":"n"},"messages":[]}',
    "a key twice, differently written": rb'{"chatSettings":{"model":"m","mod\u0065l":"n"},"messages":[]}',
    "a key twice, among texts that look like marks": rb'{"a":"x:\\","b\":":"\"","c":{"d":":","d":2}}',
    "half a surrogate pair": with_content(rb'"a\ud83db"'),
    "half a surrogate pair, ignored": json.dumps({**HELLO, "x": "\ud800"}).encode(),
    "100000 lists": b"[" * 100_000,
    "100000 closed lists": json.dumps(HELLO).encode()[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "40000 objects": b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
    "bytes that are not UTF-8": with_content(b'"\xff\xfe"'),
    "half a character": with_content(b'"\xf0\x9f"'),
    "an encoded surrogate": with_content(b'"\xed\xa0\xbd"'),
    "an overlong character": with_content(b'"\xc0\xaf"'),
    "UTF-16": json.dumps(HELLO).encode("utf-16"),
    "UTF-16 without a mark": json.dumps(HELLO).encode("utf-16-le"),
    "UTF-32": json.dumps(HELLO).encode("utf-32"),
    "a byte order mark": b"\xef\xbb\xbf" + json.dumps(HELLO).encode(),
    "a NUL in a string": with_content(b'"a\0b"'),
    "a line end in a string": with_content(b'"a\nb"'),
    "a NUL behind it": json.dumps(HELLO).encode() + b"\0",
    "compressed": b"\x1f\x8b\x08\x00",
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_not_strict_json_is_refused_quickly(client: FlaskClient, body: bytes) -> None:
    started = monotonic()
    status, code, message = said(send(client, body))
    assert monotonic() - started < 2 * slack()
    assert (status, code) == (400, "bad_body")
    assert message.startswith("The body is not valid JSON: ")
    assert message.endswith(".")
    assert 30 < len(message) < 150
    assert message.isprintable()


WHY = {
    "the end": (b'{"a":', "it ends too early, or a text in it ends with half a surrogate pair"),
    "a cut emoji at the end": (
        with_content(rb'"\ud83d"'),
        "it ends too early, or a text in it ends with half a surrogate pair",
    ),
    "a cut emoji": (with_content(rb'"\ude00"'), "invalid utf-16 surrogate pair (byte 74)"),
    "a comma": (b'{"a":1,}', "trailing comma in object (byte 7)"),
    "a second object": (b"{} {}", "trailing characters (byte 4)"),
    "NaN": (b'{"a":NaN}', "invalid character (byte 5)"),
    "a number": (b'{"a":{"b":[1e400]}}', "number out of range"),
    "a long number": (b'{"a":-' + b"1" * 100 + b"}", "a number is too long"),
    "depth": (b"[" * 100_000, "it is nested too deeply"),
    "bytes": (b'{"a":"\xff"}', "it is not in UTF-8"),
    "a key": (b'{"a":1,"a":2}', "a key appears twice in one object"),
    "values": (b"[" + b"1," * MAX_VALUES + b"1]", "it holds too many values"),
    "a list": (b"[]", "it is not an object"),
}


@pytest.mark.parametrize(("body", "why"), WHY.values(), ids=WHY)
def test_the_sentence_says_what_is_wrong(client: FlaskClient, body: bytes, why: str) -> None:
    assert said(send(client, body)) == (400, "bad_body", f"The body is not valid JSON: {why}.")


NOT_A_CHAT = {
    "an object of nothing": (b"{}", "chatSettings: Missing data for required field."),
    "an escaped NUL": (with_content(rb'"a\u0000b"'), "messages[0].content: Contains a NUL."),
    "a number of 100 digits": (
        b'{"chatSettings":{"model":"m","maxTokens":%b},"messages":[{"role":"user","content":"a"}]}' % (b"9" * 100),
        "chatSettings.maxTokens: Must be greater than or equal to 1 and less than or equal to 10000000.",
    ),
    "many parts": (
        with_content(b"[%b]" % b",".join([b"1"] * 10_001)),
        "messages: Must be of at most 10000 parts together.",
    ),
    "some depth": (with_content(b"[" * 900 + b"]" * 900), "messages[0].content[0]: Not an object."),
    "many messages": (
        b'{"chatSettings":{"model":"m"},"messages":[%b1]}' % (b"1," * 1000),
        "messages: Must be a list of 1 to 1000 messages.",
    ),
}


@pytest.mark.parametrize(("body", "message"), NOT_A_CHAT.values(), ids=NOT_A_CHAT)
def test_what_is_not_a_chat_is_refused_and_says_where(client: FlaskClient, body: bytes, message: str) -> None:
    started = monotonic()
    assert said(send(client, body)) == (400, "bad_body", message)
    assert monotonic() - started < 2 * slack()


def test_no_depth_is_a_mistake_of_ours(client: FlaskClient) -> None:
    for depth in range(50, 1100, 50):
        for shape in (b'{"type":"text","text":%b}', b'{"image_url":%b}', b"[%b]"):
            content = b"1"
            for _ in range(depth):
                content = shape % content
            status, code, _ = said(send(client, with_content(b"[" + content + b"]")))
            assert (status, code) == (400, "bad_body")


def test_a_body_over_the_limit_is_refused_by_its_length(client: FlaskClient) -> None:
    too_long = json.dumps(HELLO).encode().ljust(LIMIT + 1)
    assert said(send(client, too_long)) == (413, "too_large", "The request is larger than 256 KiB.")


WIDE = {
    "letters": (b'"%b"', 2),
    "an emoji among letters": ('"😀%b"'.encode(), 5),
    "an escaped one": (rb'"\ud83d\ude00%b"', 5),
}


@pytest.mark.parametrize(("text", "times"), WIDE.values(), ids=WIDE)
def test_a_body_counts_as_the_memory_that_it_takes(app: Flask, text: bytes, times: int) -> None:
    """The measure is what Python itself says that the text takes."""
    data = b'{"x":%b}' % (text.replace(b"%b", b"x" * 100_000))
    held: list[int] = []
    with app.test_request_context(method="POST", data=data):
        found = read_json(request, LIMIT, 1, held.append)
    assert sum(held) == times * len(data) + VALUE_BYTES
    assert len(data) + sys.getsizeof(found["x"]) < sum(held) + 100


def test_many_small_values_count_for_more_than_their_text(app: Flask) -> None:
    data = json.dumps({"x": [{"a": 1}] * 10_000}).encode()
    held: list[int] = []
    with app.test_request_context(method="POST", data=data):
        found = read_json(request, LIMIT, 1, held.append)
    assert sum(map(sys.getsizeof, found["x"])) + len(data) < sum(held)


def test_texts_are_values_too(app: Flask) -> None:
    for data in (b'["",' + b'"",' * MAX_VALUES + b'""]', b'"' * 5 * MAX_VALUES):
        with app.test_request_context(method="POST", data=data), pytest.raises(Failure, match="too many values"):
            read_json(request, len(data), 1)


def test_a_body_that_is_only_announced_takes_no_room(app: Flask) -> None:
    held: list[int] = []
    lie = {"CONTENT_LENGTH": str(LIMIT)}
    with app.test_request_context(method="POST", data=b"{}", environ_overrides=lie), pytest.raises(Failure):
        read_json(request, LIMIT, 1, held.append)
    assert sum(held) == 2


def test_the_body_of_a_setting_is_small(client: FlaskClient) -> None:
    value = json.dumps({"value": "x" * 16_384})
    status, code, message = said(client.put("/api/profile/settings/groq_api_key", data=value))
    assert (status, code, message) == (413, "too_large", "The request is larger than 16 KiB.")


def test_a_length_that_is_a_lie_is_refused(client: FlaskClient) -> None:
    body = json.dumps(HELLO).encode()
    for difference, why in ((5, "it ends before it is whole"), (-5, "")):
        lie = {"CONTENT_LENGTH": str(len(body) + difference)}
        status, code, message = said(client.post("/api/chat/openai", data=body, environ_overrides=lie))
        assert (status, code) == (400, "bad_body")
        assert message.startswith(f"The body is not valid JSON: {why}")


def test_a_chunked_body_is_read_to_its_end_or_the_limit(client: FlaskClient) -> None:
    ended = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
    body = json.dumps(HELLO).encode()
    for data, expected in (
        (body, (400, "missing_key")),
        (body.ljust(LIMIT), (400, "missing_key")),
        (body.ljust(LIMIT + 1), (413, "too_large")),
        (b"", (400, "bad_body")),
    ):
        reply = client.post("/api/chat/openai", data=data, environ_overrides=ended)
        assert said(reply)[:2] == expected


def test_a_body_without_length_or_end_is_empty(client: FlaskClient) -> None:
    reply = client.post("/api/chat/openai", data=json.dumps(HELLO), environ_overrides={"CONTENT_LENGTH": ""})
    assert said(reply)[:2] == (400, "bad_body")


def test_chunks_that_the_server_does_not_decode_are_refused(client: FlaskClient) -> None:
    chunks = {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}
    status, code, message = said(
        client.post("/api/chat/openai", data=b"2\r\n{}\r\n0\r\n\r\n", environ_overrides=chunks)
    )
    assert (status, code) == (411, "bad_body")
    assert message == "The request's body needs a Content-Length: this server takes no body in chunks."


class Broken:
    """What a server hands to the application to read from, where reading fails."""

    def __init__(self, error: OSError) -> None:
        self.error = error

    def read(self, _: int) -> bytes:
        raise self.error


LATE = {
    "uWSGI": OSError("timeout during read(2) on wsgi.input"),
    "mod_wsgi": OSError("Apache/mod_wsgi request data read error: The timeout specified has expired."),
    "a socket": TimeoutError("timed out"),
}
LEFT = {
    "uWSGI": OSError("error during read(2) on wsgi.input"),
    "mod_wsgi": OSError("Apache/mod_wsgi request data read error: Connection reset by peer."),
    "mod_wsgi, in the middle": OSError(
        "Apache/mod_wsgi request data read error: Partial results are valid but processing is incomplete."
    ),
    "a socket": ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
    "a socket's number": OSError(errno.EIO, "Input/output error"),
}


def send_broken(client: FlaskClient, error: OSError) -> TestResponse:
    broken = {"wsgi.input": Broken(error), "CONTENT_LENGTH": "2"}
    return client.post("/api/chat/openai", environ_overrides=broken)


@pytest.mark.parametrize("error", LATE.values(), ids=LATE)
def test_a_body_that_a_server_finds_late_is_408(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, error: OSError
) -> None:
    assert said(send_broken(client, error))[:2] == (408, "body_timeout")
    assert "mistake" not in caplog.text


@pytest.mark.parametrize("error", LEFT.values(), ids=LEFT)
def test_a_client_that_leaves_its_body_is_no_mistake_of_ours(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, error: OSError
) -> None:
    assert send_broken(client, error).status_code == 499
    assert "mistake" not in caplog.text
