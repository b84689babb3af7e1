"""What a provider may send: streams of its grammar with everything odd that was ever seen in one, and any bytes."""

import json
from typing import Any

from hypothesis import strategies as st

from .values import json_values, objects, odd_texts

BOM = b"\xef\xbb\xbf"
DONE = b"data: [DONE]"


def _some(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Make objects that have each of these members or not."""
    return st.fixed_dictionaries({}, optional=members)


def _delta(kind: str, text: str) -> dict[str, Any]:
    return {"choices": [{"delta": {kind: text}}]}


def _end(reason: str, usage: dict[str, Any]) -> dict[str, Any]:
    return {"choices": [{"delta": {}, "finish_reason": reason}], "usage": usage}


_anything = json_values(odd_texts)
_halves = st.sampled_from(["\ud83d", "\ude00", "😀", "é", "\u2028"])
_thoughts = st.lists(_some(type=st.just("text"), text=odd_texts), max_size=2)
_parts = _some(type=st.sampled_from(["text", "thinking", "image"]), text=odd_texts, thinking=odd_texts | _thoughts)
_contents = st.one_of(odd_texts, _halves, st.lists(_parts, max_size=3), _anything)
_deltas = _some(content=_contents, reasoning=_contents, reasoning_content=_contents)
_ends = st.sampled_from(["stop", "length", "content_filter"]) | odd_texts
_reasons = st.sampled_from([None, "error"]) | _ends | _anything
_choices = _some(delta=_deltas, message=_deltas, finish_reason=_reasons)
_usages = objects(odd_texts, _anything)
_errors = _some(message=_anything, code=st.integers(0, 1000) | _anything, type=_anything, detail=_anything)

_pieces: st.SearchStrategy[Any] = st.one_of(
    st.builds(_delta, st.sampled_from(["content", "content", "reasoning", "reasoning_content"]), odd_texts | _halves),
    st.builds(_end, _ends, _usages),
    _some(x_groq=_some(usage=_usages)),
)
_oddities: st.SearchStrategy[Any] = st.one_of(
    _some(choices=st.lists(_choices, min_size=1, max_size=2), usage=_usages, x_groq=_some(usage=_usages)),
    _some(choices=_anything, usage=_anything, x_groq=_anything, object=_anything, message=_anything, error=st.none()),
    _some(error=_errors | _anything, object=st.just("error"), message=_anything),
    _anything,
)

_line_ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
_noise = st.sampled_from(
    [b": ping", b":", b"event: message", b"id: 7", b"datas: no", b"\xff\xfe", b" data: no", b"data:"]
)


@st.composite
def _events(draw: st.DrawFn, chunks: st.SearchStrategy[Any]) -> bytes:
    """Render a chunk as an event: on one line or on several, among other lines, with any kind of line end."""
    text = json.dumps(draw(chunks), ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))
    data = text.encode("utf-8", draw(st.sampled_from(["backslashreplace", "surrogatepass"])))
    field = draw(st.sampled_from([b"data: ", b"data:"]))
    lines = [*draw(st.lists(_noise, max_size=1)), *(field + line for line in data.split(b"\n"))]
    return draw(_line_ends).join([*lines, b"", b""])


_marks = st.builds(lambda end: DONE + end * 2, _line_ends)
_garbage = st.binary(max_size=8) | st.sampled_from([BOM, b"\n\n", b"\r", b"data: {\n\n", b"<html>\n\n"])

_answers = st.lists(_events(_pieces), min_size=1, max_size=6).map(b"".join)
_mixtures = st.lists(_events(_pieces) | _events(_oddities) | _garbage | _marks, max_size=6).map(b"".join)

provider_streams = st.tuples(st.sampled_from([b"", BOM]), _answers | _mixtures, _marks | st.just(b"")).map(b"".join)
"""What a provider sends in answer to a question: a whole answer, or parts of one and worse in any order."""

_tokens = st.sampled_from([b"data:", b"data", b" ", b"x", b":", b"\r", b"\n", b"\n\n", BOM, BOM[:2], b"[DONE]", b"{}"])

any_streams = st.lists(_tokens | st.binary(max_size=3), max_size=30).map(b"".join)
"""Any bytes, those that mean something more often than others."""


@st.composite
def split(draw: st.DrawFn, streams: st.SearchStrategy[bytes]) -> tuple[bytes, list[bytes]]:
    """Make a stream, and the reads that it may come in."""
    stream = draw(streams)
    cuts = sorted(draw(st.sets(st.integers(0, len(stream)), max_size=8)))
    return stream, [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
