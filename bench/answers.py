"""The answers of the benchmark's provider: rendered once, and known to who checks what arrives."""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, product
from random import Random
from typing import Literal, cast

MODEL = "gpt-4o"

_SYLLABLES = "ba ce di fo gu la me ni po ru sa te vi xo zu".split()
_SPEC = re.compile(rb"events=(\d+) pace=(\d+) step=([01]) ending=(\w+)")
_CREATED = 1767225600

Ending = Literal["whole", "unfinished", "reset"]
"""How an answer ends: as it should; without a finish reason and `[DONE]`; with a reset (RST) of the connection."""


@dataclass(frozen=True, slots=True)
class Spec:
    """An answer of so many words, an event each, `pace` milliseconds between two; 0 is all at once.

    `step`: the events of all such answers come at the same moments.
    """

    events: int
    pace: int = 0
    step: bool = False
    ending: Ending = "whole"

    @property
    def prompt(self) -> str:
        """What to ask for it: every server passes the question on."""
        return f"Say it in events={self.events} pace={self.pace} step={self.step:d} ending={self.ending}."

    @property
    def text(self) -> str:
        """The text of the answer."""
        return "".join(_words(self.events))


def find(request: bytes) -> Spec:
    """Return the answer that a request's body asks for."""
    found = _SPEC.search(request)
    if not found:
        return Spec(1)
    return Spec(int(found[1]), int(found[2]), found[3] == b"1", cast("Ending", found[4].decode()))


def counts_tokens(request: bytes) -> bool:
    """Tell whether the request's body asks for the token counts."""
    return b'"include_usage":true' in request.replace(b" ", b"")


@lru_cache(maxsize=64)
def writes(spec: Spec, *, usage: bool) -> tuple[bytes, ...]:
    """Return what the provider writes: headers and first word, then a word each, the last with the end behind it.

    Without a pace it is one write. Events are as OpenAI's are, in size and form, an HTTP chunk each. An unfinished
    answer is a whole HTTP body; one that ends with a reset is not.
    """
    events = [_event({"content": word}) for word in _words(spec.events)]
    first = _HEAD + _event({"role": "assistant", "content": "", "refusal": None})
    events[0] = first + events[0]
    if spec.ending == "whole":
        events[-1] += _event({}, "stop") + (_usage(spec.events) if usage else b"") + _chunk(b"data: [DONE]\n\n")
    if spec.ending != "reset":
        events[-1] += b"0\r\n\r\n"
    return tuple(events) if spec.pace else (b"".join(events),)


@lru_cache(maxsize=64)
def _words(number: int) -> tuple[str, ...]:
    """Return words that differ, of the length that tokens have."""
    words = ["".join(pair) for pair in product(_SYLLABLES, _SYLLABLES)]
    Random(number).shuffle(words)  # noqa: S311 - the same words each time
    endless = (f" {word}{mark}" for mark in ("", "s", ",", "n") * number for word in words)
    return tuple(islice(endless, number))


def _event(delta: dict[str, object], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return _data({"choices": [choice]})


def _usage(events: int) -> bytes:
    counts = {"prompt_tokens": 17, "completion_tokens": events, "total_tokens": 17 + events}
    return _data({"choices": [], "usage": counts})


def _data(value: dict[str, object]) -> bytes:
    head = {
        "id": "chatcmpl-BenchBenchBenchBenchBenchBench",
        "object": "chat.completion.chunk",
        "created": _CREATED,
        "model": "gpt-4o-2024-08-06",
        "service_tier": "default",
        "system_fingerprint": "fp_07871e2ad8",
    }
    return _chunk(b"data: %s\n\n" % json.dumps({**head, **value}, separators=(",", ":")).encode())


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"openai-processing-ms: 42\r\nopenai-version: 2020-10-01\r\nx-request-id: req_bench\r\n"
    b"transfer-encoding: chunked\r\nconnection: keep-alive\r\n\r\n"
)
