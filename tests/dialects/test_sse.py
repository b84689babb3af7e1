"""Bytes -> events: the same for every way in which the bytes can be split."""

import json
from itertools import product

import pytest

from app.dialects.sse import MAX_EVENT_BYTES, MAX_STREAM_BYTES, ErrorEvent, EventReader, StrayLines
from app.failure import Failure
from tests.protocols.parser import data_of

BOM = b"\xef\xbb\xbf"
READ = 64 * 1024

CORPUS = {
    "nothing": b"",
    "line feeds": b'data: {"a": 1}\n\ndata: [DONE]\n\n',
    "CRLF": b"data: one\r\n\r\ndata: two\r\n\r\n",
    "CR": b"data: one\r\rdata: two\r\r",
    "every line end after every other": b"data: a\r\n\ndata: b\n\r\ndata: c\r\r\ndata: d\r\r\ndata: e\n\rdata: f\n\n",
    "no space, one space, two spaces": b"data:one\n\ndata: two\n\ndata:  three\n\n",
    "several lines of data": b"data: one\ndata:\ndata: three\n\n",
    "other fields around": b"event: message\nid: 7\nretry: 10\ndata: one\nfoo\ndatas: no\n\n",
    "comments": b": ping\n\n: OPENROUTER PROCESSING\n\ndata: one\n: in between\ndata: two\n\n:\n\n",
    "blank lines": b"\n\n\ndata: one\n\n\n\n\ndata: two\n\n\n",
    "a byte order mark": BOM + b"data: one\n\ndata: two\n\n",
    "a byte order mark and CRLF": BOM + b"data: one\r\n\r\n",
    "two byte order marks": BOM + BOM + b"data: lost\n\ndata: two\n\n",
    "a byte order mark in the middle": b"data: one\n\n" + BOM + b"data: lost\n\ndata: two\n\n",
    "half a byte order mark": BOM[:2] + b"data: lost\n\ndata: two\n\n",
    "characters of several bytes": "data: é → 😀 \u2028 \u0085\n\n".encode(),
    "bytes that are not UTF-8": b"data: \xff\xfe\x80\n\n",
    "control characters": b"data: a\0b\x0b\x0c\x1c\n\n",
    "half an event at the end": b"data: one\n\ndata: half",
    "a line, but no blank one at the end": b"data: one\n\ndata: half\n",
    "HTML": b"<html>\n\n<p>data: no</p>\n\n</html>\n\n",
}


def events(*reads: bytes) -> list[bytes]:
    return [event for event in fed(*reads) if type(event) is not StrayLines]


def fed(*reads: bytes) -> list[bytes]:
    reader = EventReader()
    return [event for read in reads for event in reader.feed(read)]


@pytest.mark.parametrize("stream", CORPUS.values(), ids=CORPUS)
def test_events_of_a_stream_are_those_of_the_specification(stream: bytes) -> None:
    assert events(stream) == list(filter(None, data_of(stream)))


@pytest.mark.parametrize("stream", CORPUS.values(), ids=CORPUS)
def test_a_stream_may_be_split_between_any_two_bytes(stream: bytes) -> None:
    expected = list(filter(None, data_of(stream)))
    for cut in range(len(stream) + 1):
        assert events(stream[:cut], stream[cut:]) == expected, cut


@pytest.mark.parametrize("stream", CORPUS.values(), ids=CORPUS)
def test_a_stream_may_come_byte_by_byte(stream: bytes) -> None:
    assert events(*(bytes([byte]) for byte in stream)) == list(filter(None, data_of(stream)))


def test_every_short_stream_may_come_in_one_read_or_byte_by_byte() -> None:
    for tokens in product((b"data:x", b": c", b"\r", b"\n", BOM), repeat=6):
        stream = b"".join(tokens) + b"\n\n"
        expected = list(filter(None, data_of(stream)))
        assert events(stream) == expected, stream
        assert events(*(bytes([byte]) for byte in stream)) == expected, stream
        assert events(*tokens, b"\n", b"\n") == expected, tokens


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        (b'event: error\ndata: {"a":1}\n\n', b'{"a":1}'),
        (b"event:Error\r\ndata: a\r\ndata: b\r\n\r\n", b"a\nb"),
        (b"event: error\n\n", b"{}"),
        (b'error: {"a":1}\n\n', b'{"a":1}'),
        (b"event: failed\n\n", b"{}"),
        (b"event: response.failed\n\n", b"{}"),
        (b'event: provider_error\ndata: {"choices":[]}\n\n', b'{"choices":[]}'),
    ],
)
def test_an_event_that_calls_itself_an_error_is_told_apart(stream: bytes, data: bytes) -> None:
    (found,) = events(*(bytes([byte]) for byte in stream))
    assert (type(found), found) == (ErrorEvent, data)


@pytest.mark.parametrize("event", [b"data: error:", b"event: no error\ndata: x", b"id: error\ndata: event: error"])
def test_a_word_about_errors_is_none(event: bytes) -> None:
    (found,) = events(event + b"\n\n")
    assert type(found) is bytes


STRAY = [
    b'{"error":{"message":"boom"}}', b' error: {"a":1}', b"errors: boom", b"error", b"<html>502</html>",
    b"Internal Server Error", b"eventual: x", b"data : x",
]  # fmt: skip


@pytest.mark.parametrize("lines", STRAY)
def test_lines_that_are_of_no_event_come_apart(lines: bytes) -> None:
    assert fed(b"data: a\n\n", lines + b"\n\n") == [b"a", lines]
    assert fed(b"data: a\n\n", b": ping\n", lines + b"\ndata: b\n\n") == [b"a", b"b", lines]
    assert [type(event) for event in fed(*(bytes([byte]) for byte in b"data: a\n\n%b\n\n" % lines))] == [
        bytes,
        StrayLines,
    ]


def test_comments_and_fields_that_are_known_are_no_stray_lines() -> None:
    assert fed(b"data: a\n\n: error\n\nevent: x\nid\nretry: 1\n\nid: 7\n\n \n\n") == [b"a"]


def test_all_that_ends_in_a_blank_line_is_counted() -> None:
    reader = EventReader()
    assert reader.feed(b": a\n\nevent: x\n\n\n\ndata: b\n\n: c") == [b"b"]
    assert reader.blocks == 4


def test_reads_of_nothing_change_nothing() -> None:
    assert events(b"", b"data: a\r", b"", b"\n\r", b"", b"\ndata: b\n\n") == [b"a", b"b"]


def test_the_events_of_one_read_come_together_and_each_once() -> None:
    reader = EventReader()
    assert reader.feed(b"data: a\n\ndata: b\n\ndata: c") == [b"a", b"b"]
    assert reader.feed(b"\n\n") == [b"c"]
    assert reader.feed(b"\n\n") == []


def test_an_event_may_be_as_long_as_the_cap() -> None:
    event = b"data: " + b"x" * (MAX_EVENT_BYTES - 6)
    assert events(*cut(event), b"\n\n") == [event[6:]]


@pytest.mark.parametrize("line", [b"data: ", b": ", b""])
def test_a_line_without_an_end_is_given_up_at_the_cap(line: bytes) -> None:
    with pytest.raises(Failure) as failure:
        events(*cut(line + b"x" * (MAX_EVENT_BYTES + READ)))
    assert (failure.value.status, failure.value.code) == (500, "up_too_large")


def test_a_stream_of_small_events_is_given_up_at_its_cap() -> None:
    read = (b"data: " + b"x" * 1016 + b"\n\n") * 64
    reader = EventReader()
    for _ in range(MAX_STREAM_BYTES // len(read)):
        assert len(reader.feed(read)) == 64
    with pytest.raises(Failure) as failure:
        reader.feed(read)
    assert (failure.value.status, failure.value.code) == (500, "up_too_large")


def cut(data: bytes) -> list[bytes]:
    """Split bytes as a socket would."""
    return [data[start : start + READ] for start in range(0, len(data), READ)]


@pytest.mark.parametrize("before", [b"", b"\n\n", b"\r\n\r\n", b": keep-alive\n\n", b"event: x\n\n: y\n\n"])
def test_json_in_place_of_events_is_kept_with_its_blank_lines(before: bytes) -> None:
    reader = EventReader()
    assert reader.feed(before + b'{"a":\n\n1}\n\n') == []
    assert json.loads(reader.whole) == {"a": 1}


def test_no_more_is_kept_of_what_is_no_stream_than_of_an_event() -> None:
    reader = EventReader()
    junk = b"{" * 1000 + b"\n\n"
    for _ in range(3 * MAX_EVENT_BYTES // READ):
        assert reader.feed(junk * (READ // len(junk))) == []
    assert MAX_EVENT_BYTES < len(reader.whole) <= MAX_EVENT_BYTES + READ


def test_nothing_is_kept_of_a_stream() -> None:
    reader = EventReader()
    reader.feed(b"data: 1\n\n")
    reader.feed(b'{"a": 1}\n\n')
    assert reader.whole == b""
