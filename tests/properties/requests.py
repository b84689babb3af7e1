"""What a client may send: chats, what is nearly one, and anything else, under any headers."""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

from .values import json_values, odd_texts

LIMIT = 4096
"""What a body may have here at the most, for bodies to reach it."""

_PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}
_FILE = {"type": "file", "mediaType": "image/png", "url": "https://a"}
_ATTACHED = {"experimental_attachments": [{"name": "a", "contentType": "image/png", "url": "https://a"}]}
WHOLE: dict[str, Any] = {
    "chatSettings": {"model": "demo", "temperature": 1, "maxTokens": 5, "prompt": "p"},
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "a"}, _PICTURE]},
        {"role": "assistant", "content": ""},
        {"role": "user", "parts": [{"type": "text", "text": "a"}, _FILE]},
        {"role": "user", "content": None, "parts": [{"type": "text", "text": "a"}], **_ATTACHED},
    ],
}

_words = odd_texts | st.sampled_from(["user", "text", "image_url", "file", "data:image/", "https://\ude00"])
_anything = json_values(_words)


def _places(value: object, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value inside of a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield (*way, name)
        yield from _places(inner, (*way, name))


@st.composite
def _changed(draw: st.DrawFn) -> bytes:
    """Make a chat in which one value is another, or is gone."""
    chat: Any = deepcopy(WHOLE)
    *way, name = draw(st.sampled_from(list(_places(WHOLE))))
    inner = chat
    for step in way:
        inner = inner[step]
    if draw(st.booleans()):
        inner[name] = draw(_words | _anything)
    else:
        del inner[name]
    return json.dumps(chat, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """Make a chat in which some bytes are others, or are gone."""
    body = json.dumps(WHOLE).encode()
    start = draw(st.integers(0, len(body)))
    return body[:start] + draw(st.binary(max_size=4)) + body[start + draw(st.integers(0, 20)) :]


bodies = st.one_of(
    st.binary(max_size=60),
    _anything.map(lambda value: json.dumps(value).encode()),
    _changed(),
    _changed(),
    _damaged(),
    st.sampled_from([900, 1000, LIMIT]).map(lambda depth: b"[" * depth),  # Hypothesis gives us a deeper stack
    st.integers(LIMIT - 2, LIMIT + 2).map(json.dumps(WHOLE).encode().ljust),
)

chunked_bodies = st.builds(
    lambda parts, end: b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + end,
    st.lists(bodies.filter(bool), max_size=3),
    st.sampled_from(
        [b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\na: b\r\n\r\n", b"-1\r\n", b"x", b"ffffffffffffffffff\r\n", b""]
    ),
)
"""Bodies in chunks, with a proper end or another."""

_sayings = st.text(st.characters(exclude_characters="\0"), max_size=20)
_said = st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": _sayings}) | st.just(_PICTURE), min_size=1)
_messages = st.one_of(
    st.fixed_dictionaries({"role": st.just("user"), "content": _sayings | _said}),
    st.fixed_dictionaries({"role": st.sampled_from(["system", "developer", "assistant"]), "content": _sayings}),
    st.fixed_dictionaries({"role": st.just("user"), "parts": st.just([_FILE]) | _said}),
)
_names = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="@"), min_size=1, max_size=200)
_settings = st.fixed_dictionaries(
    {"model": st.just("demo") | _names},
    optional={
        "temperature": st.none() | st.floats(0, 2) | st.integers(0, 2),
        "maxTokens": st.none() | st.integers(1, 10_000_000),
        "prompt": _anything,
    },
)
chats = st.fixed_dictionaries(
    {"chatSettings": _settings, "messages": st.lists(_messages, min_size=1, max_size=4)},
    optional={"id": _anything, "trigger": _anything},
)
"""Chats with which nothing is wrong; what their models are is for a provider to say."""

nothing: st.SearchStrategy[dict[str, str]] = st.just({})

_values = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=20)
_lengths = st.integers(-5, LIMIT + 5).map(str) | st.sampled_from(["9" * 5000, "1_0", "+5", "\xb2", "0x10", "1, 1"])
_types = st.sampled_from(["multipart/form-data; boundary=x", "text/plain; charset=utf-16", "multipart/form-data"])
_preferences = st.sampled_from(["text/event-stream", "*/*", "text/event-stream;q=x", "a/b;q=" + "9" * 400])

framing = st.fixed_dictionaries(
    {},
    optional={
        "Content-Length": _lengths | _values,
        "Transfer-Encoding": st.sampled_from(["chunked", "gzip, chunked", "identity", "chunked, chunked"]) | _values,
    },
)
"""The headers that say how long a body is, true or not."""

about = st.fixed_dictionaries(
    {},
    optional={
        "Content-Type": _types | _values,
        "Content-Encoding": st.sampled_from(["gzip", "identity"]) | _values,
        "Accept": _preferences | _values,
        "Host": st.sampled_from(["[", "[::1", "localhost:99999", "a@b"]) | _values,
        **dict.fromkeys(("Accept-Language", "Cookie", "Expect", "Origin", "Range", "X-Request-ID"), _values),
    },
)
"""Other headers."""
