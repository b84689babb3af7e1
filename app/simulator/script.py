"""The bytes of an answer: a provider's events with the faults added, rendered once and framed as HTTP."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

from .faults import Faults, parse
from .provider import DONE, Content, SimulatedProvider
from .text import EMOJI_PIECES, REASONING, WORDS, WORDS_AGAIN, pieces, words

Ending = Literal["clean", "silence", "close", "reset"]
"""What follows the last event: the proper end of HTTP, silence, a closed connection, or a TCP reset."""

BYTE_CHUNK = len(b"1\r\n?\r\n")
"""The length of an HTTP chunk of one byte."""

_LAST_CHUNK = b"0\r\n\r\n"
_ENDINGS: dict[str, Ending] = {"reset": "reset", "cut": "close", "stall": "silence", "silent": "silence"}
_STOPS = ("silent", "stall", "cut", "reset", "truncated", "error")
_MARK = "☠"


@dataclass(frozen=True, slots=True)
class Script:
    """The body of one answer: `parts`, then `forever` over and over, then the ending.

    Each part is one event (or one whole body) with its HTTP framing. `length` is the Content-Length; None: chunked.
    """

    parts: tuple[bytes, ...]
    forever: tuple[bytes, ...] = ()
    ending: Ending = "clean"
    length: int | None = None


@lru_cache(maxsize=64)
def stream(provider: SimulatedProvider, model: str, *, counted: bool, padded: bool) -> Script:
    """Render a streamed answer. `counted` adds token counts; `padded` adds padding, if the provider has it."""
    faults = parse(model)[1]
    content = _content(model, faults, counted=counted, padded=padded)
    ending: Ending = next((_ENDINGS[name] for name in _ENDINGS if name in faults), "clean")
    events, forever = _events(provider, content, faults), _forever(provider, content, faults)
    frame = _framing(faults)
    parts = [frame(event) for event in events]
    if ending == "clean" and not forever:
        parts.append(parts.pop() + _LAST_CHUNK if parts else _LAST_CHUNK)
    return Script(tuple(parts), tuple(frame(event) for event in forever), ending)


@lru_cache(maxsize=64)
def completion(provider: SimulatedProvider, model: str) -> Script:
    """Render an answer that is not streamed."""
    faults = parse(model)[1]
    return whole(provider.renderer.whole(_content(model, faults, counted=True, padded=False)), faults)


def whole(body: bytes, faults: Faults) -> Script:
    """Frame one body that is not a stream. Of the faults of a stream, only `silent` and `bytewise` apply."""
    if "silent" in faults:
        return Script((), ending="silence", length=len(body))
    if "bytewise" in faults:
        return Script((_bytewise(body) + _LAST_CHUNK,))
    return Script((body,), length=len(body))


def _content(model: str, faults: Faults, *, counted: bool, padded: bool) -> Content:
    finish = "length" if "length" in faults else "content_filter" if "filtered" in faults else "stop"
    return Content(
        model=model,
        reasoning=pieces(REASONING) if "reasoning" in faults else (),
        words=EMOJI_PIECES if "emoji" in faults else words(_count(faults)),
        finish=finish,
        usage="never" if "nousage" in faults else "asked" if counted else "unasked",
        padded=padded,
    )


def _count(faults: Faults) -> int:
    """Return the number of words before they repeat for ever or end."""
    stop = _stop(faults)
    if "endless" in faults and stop is not None:
        return stop
    return int(faults.get("events", len(WORDS)))


def _stop(faults: Faults) -> int | None:
    """Return after how many words the answer breaks off, if it does."""
    return min((int(faults[name]) for name in _STOPS if name in faults), default=None)


def _events(provider: SimulatedProvider, content: Content, faults: Faults) -> list[bytes]:
    """Return the events up to the end, or up to where the words repeat for ever."""
    if "silent" in faults or "comments" in faults:
        return []
    renderer = provider.renderer
    text = [renderer.reasoning(content, number, piece) for number, piece in enumerate(content.reasoning)]
    word_event = cache(lambda number, word: renderer.word(content, number, word))
    text += [word_event(number % len(WORDS), word) for number, word in enumerate(content.words)]
    for name in ("badjson", "badutf8"):
        if name in faults:
            text.insert(int(faults[name]), _broken(name, renderer.word(content, 0, _MARK)))
    stop = _stop(faults)
    events = [*renderer.opening(content), *text[:stop]]
    if "error" in faults:
        events.append(renderer.error)
    elif stop is None and "endless" not in faults:
        events += [event for event in renderer.ending(content) if event != DONE or "nodone" not in faults]
    return events


def _forever(provider: SimulatedProvider, content: Content, faults: Faults) -> list[bytes]:
    if "comments" in faults:
        return [b": ping\n\n"]
    if "endless" in faults and _stop(faults) is None:
        return [provider.renderer.word(content, number, word) for number, word in enumerate(WORDS_AGAIN)]
    return []


def _broken(how: str, event: bytes) -> bytes:
    if how == "badutf8":
        return event.replace(_MARK.encode(), b"\xff\xfe")
    return event[: len(event) // 2] + b"\n\n"


def _framing(faults: Faults) -> Callable[[bytes], bytes]:
    """Return a function that frames an event as HTTP chunks. It has a cache, because words repeat."""
    frame = _bytewise if "bytewise" in faults else _chunk
    return cache((lambda event: frame(event.replace(b"\n", b"\r\n"))) if "crlf" in faults else frame)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _bytewise(data: bytes) -> bytes:
    return b"".join(b"1\r\n%c\r\n" % byte for byte in data)
