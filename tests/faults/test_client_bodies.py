"""Bodies that are not a chat in strict JSON: each is refused in milliseconds, and nobody is asked."""

import pytest

from tests.faults.log import logged
from tests.faults.sluice import Sluice
from tests.machine import slack
from tests.raw import body, connect, head, new_id

MILLISECONDS = 50
"""How long the service may work on a body on a quiet machine; one of a few tries is enough, as any has other work."""

WHOLE = body("m")
OPEN = WHOLE[:-1]


def content(text: bytes) -> bytes:
    """Write a chat whose message says this JSON."""
    return b'{"chatSettings":{"model":"m"},"messages":[{"role":"user","content":%b}]}' % text


def temperature(text: bytes) -> bytes:
    return b'{"chatSettings":{"model":"m","temperature":%b},"messages":[{"role":"user","content":"a"}]}' % text


def tokens(text: bytes) -> bytes:
    return b'{"chatSettings":{"model":"m","maxTokens":%b},"messages":[{"role":"user","content":"a"}]}' % text


NOT_JSON = {
    "nothing": b"",
    "white space": b" \r\n\t",
    "a list": b"[]",
    "a list of a chat": b"[%b]" % WHOLE,
    "null": b"null",
    "true": b"true",
    "a number": b"1",
    "a string": b'"chat"',
    "words": b"hello",
    "half a chat": OPEN,
    "two chats": WHOLE + WHOLE,
    "a letter behind it": WHOLE + b"x",
    "a NUL behind it": WHOLE + b"\0",
    "a trailing comma": OPEN + b",}",
    "a comment": b"/**/" + WHOLE,
    "bytes that are not UTF-8": content(b'"\xff\xfe"'),
    "half a character": content(b'"\xf0\x9f"'),
    "an overlong character": content(b'"\xc0\xaf"'),
    "an encoded surrogate": content(b'"\xed\xa0\xbd"'),
    "UTF-16": WHOLE.decode().encode("utf-16"),
    "UTF-16 without a mark": WHOLE.decode().encode("utf-16-be"),
    "UTF-32": WHOLE.decode().encode("utf-32"),
    "a byte order mark": b"\xef\xbb\xbf" + WHOLE,
}

HOSTILE = {
    "100000 lists": b"[" * 100_000,
    "100000 closed lists": OPEN + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "100000 objects": b'{"a":' * 100_000,
    "100000 lists as content": content(b"[" * 100_000 + b"]" * 100_000),
    "100000 objects as content": content(b'{"type":' * 100_000 + b"1" + b"}" * 100_000),
    "1000 lists": content(b"[" * 1000 + b"]" * 1000),
    "500 lists": content(b"[" * 500 + b"]" * 500),
    "NaN": temperature(b"NaN"),
    "Infinity": temperature(b"Infinity"),
    "-Infinity": temperature(b"-Infinity"),
    "NaN where it is ignored": OPEN + b',"x":NaN}',
    "1e400": temperature(b"1e400"),
    "-1e400": temperature(b"-1e400"),
    "1e400 tokens": tokens(b"1e400"),
    "an integer of 5000 digits": tokens(b"9" * 5000),
    "an integer of 5000 digits, ignored": OPEN + b',"x":' + b"9" * 5000 + b"}",
    "an integer of 4000 digits": tokens(b"9" * 4000),
    "a million digits": tokens(b"9" * 1_000_000),
    "a fraction of a million digits": temperature(b"5." + b"9" * 1_000_000),
    "half a surrogate pair": content(rb'"a\ud83d"'),
    "the other half": content(rb'"\ude00a"'),
    "the halves in the wrong order": content(rb'"\ude00\ud83d"'),
    "half a surrogate pair as the model": content(b'"a"').replace(b'"m"', rb'"m\ud83d"'),
    "a NUL": content(b'"a\0b"'),
    "an escaped NUL": content(rb'"a\u0000b"'),
    "an escaped NUL in the model": content(b'"a"').replace(b'"m"', rb'"m\u0000"'),
    "a key twice": OPEN + b',"messages":[]}',
    "a key twice, inside": content(b'"a"').replace(b'"m"', b'"m","model":"n"'),
    "a key twice, differently written": content(b'"a"').replace(b'"m"', rb'"m","mod\u0065l":"n"'),
    "a key twice, where it is ignored": OPEN + b',"x":{"y":1,"y":2}}',
    "100000 messages": content(b'"a"').replace(b"[", b"[" + b"1," * 100_000),
    "100000 parts": content(b"[" + b"1," * 100_000 + b"1]"),
}


def refused(sluice: Sluice, data: bytes) -> float:
    """Send a body that is refused; return the milliseconds that the service took, by its own record."""
    with connect(sluice.port, head(name := new_id(), f"Content-Length: {len(data)}"), data) as client:
        client.until(b"}")
        answer = client.answer()
    assert answer.failure() == (400, "bad_body")
    record = logged(sluice, name, "bad_body", 400)
    assert (record["ttftMs"], record["events"]) == (None, 0)
    return float(record["durationMs"])


@pytest.mark.parametrize("data", NOT_JSON.values(), ids=NOT_JSON)
def test_k19_what_is_not_json_is_refused(sluice: Sluice, data: bytes) -> None:
    before = len(sluice.far.all_asked())
    assert any(refused(sluice, data) < MILLISECONDS * slack() for _ in range(5))
    assert len(sluice.far.all_asked()) == before


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_k20_what_is_made_to_hurt_is_refused_as_quickly(sluice: Sluice, data: bytes) -> None:
    before = len(sluice.far.all_asked())
    assert any(refused(sluice, data) < MILLISECONDS * slack() for _ in range(5))
    assert len(sluice.far.all_asked()) == before
