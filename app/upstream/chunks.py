"""The events of a streamed chat completion -> pieces (https://platform.openai.com/docs/api-reference/chat-streaming)."""

import json
import re
from itertools import groupby
from typing import Any, TypeVar

import msgspec

from app.answer import Failure, Finish, Piece, Reasoning, Text
from app.upstream.refusal import cleaned, reported

_END = b"[DONE]"
_COUNT = re.compile(r"[a-z_]{1,50}")
MAX_COUNTS = 50
"""How many counts of a usage are looked at."""
MAX_COUNT = 10**15
"""What no count of tokens, or of anything else, reaches."""

T = TypeVar("T")


class _Delta(msgspec.Struct):
    content: str | list[Any] | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None


class _GroqChunk(msgspec.Struct):
    usage: dict[str, Any] | None = None


class _Chunk(msgspec.Struct):
    """What is used of an event, and nothing else."""

    choices: list[_Choice] | None = None
    usage: dict[str, Any] | None = None
    x_groq: _GroqChunk | None = None
    error: Any = None
    object: str | None = None
    message: Any = None


_decode = msgspec.json.Decoder(_Chunk).decode


class ChunkReader:
    """Turns the data of events into pieces, and knows whether the provider has ended its answer."""

    def __init__(self, label: str, key: str, wrong_key: str = "") -> None:
        """Take the provider's label for sentences, the key that its texts must not show, a wrong one's sentence."""
        self._label = label
        self._key = key
        self._wrong_key = wrong_key
        self._halves = {Text: "", Reasoning: ""}
        self.usage: dict[str, Any] | None = None
        self.seen = False
        self._told = False
        self._failure: Failure | None = None
        self.reason: str | None = None
        self.over = False

    def read(self, events: list[bytes]) -> list[Piece]:
        """Return the pieces of the events of one read, neighbours of one kind joined.

        Raises `Failure` on an event that is not JSON, and on an error that the provider reports; kept for
        `raise_failure` if there are pieces from before it. What follows its end marker is not read.
        """
        pieces: list[Text | Reasoning] = []
        self.seen = self.seen or bool(events)
        try:
            self._take_all(events, pieces)
        except Failure as failure:
            if not pieces:
                raise
            self._failure = failure
        self._told = self._told or bool(pieces)
        return [*pieces] if len(pieces) < 2 else _joined(pieces)  # noqa: PLR2004

    def raise_failure(self) -> None:
        """Raise the `Failure` that came behind the last pieces, if one did."""
        if self._failure is not None:
            raise self._failure

    def finish(self) -> list[Piece]:
        """Return the end of an answer whose bytes are over. Raises `Failure` if the provider had not ended it."""
        if not self.seen:
            raise Failure(500, "up_empty", f"{self._label} sent no answer.")
        if self.reason is None and not self.over:
            raise Failure(500, "up_truncated", f"{self._label} cut the answer off before its end.")
        if self.reason == "content_filter" and not self._told:
            raise Failure(400, "content_filter", f"{self._label}'s content filter stopped the answer.")
        lone: list[Piece] = [Text("\N{REPLACEMENT CHARACTER}")] if self._halves[Text] else []
        return [*lone, Finish(self.reason or "unknown", self.usage)]

    def _take_all(self, events: list[bytes], pieces: list[Text | Reasoning]) -> None:
        for event in events:
            if event == _END:
                self.over = True
                break
            self._take(_chunk(event), pieces)

    def _take(self, chunk: _Chunk, pieces: list[Text | Reasoning]) -> None:
        if chunk.error is not None or chunk.object == "error":
            error = chunk.error if chunk.error is not None else chunk.message
            raise reported(self._label, self._key, error, self._wrong_key)
        if usage := chunk.usage or (chunk.x_groq and chunk.x_groq.usage):
            self.usage = _counts(usage) or self.usage
        for choice in (chunk.choices or ())[:1]:
            if (delta := choice.delta or choice.message) is not None:
                self._add(delta, pieces)
            if choice.finish_reason == "error":
                raise Failure(500, "provider_error", f"{self._label} reported an error in its answer.")
            if choice.finish_reason:
                self.reason = cleaned(choice.finish_reason, self._key) or "unknown"

    def _add(self, delta: _Delta, pieces: list[Text | Reasoning]) -> None:
        reasoning, content = delta.reasoning or delta.reasoning_content, delta.content
        if isinstance(content, list):
            thought, content = _parts(content, "thinking"), _parts(content, "text")
            reasoning = reasoning or thought
        if reasoning and (whole := self._whole(Reasoning, reasoning)):
            pieces.append(Reasoning(whole))
        if content and (whole := self._whole(Text, content)):
            pieces.append(Text(whole))

    def _whole(self, kind: type[Text | Reasoning], text: str) -> str:
        """Join characters that were split over two events as the halves of a surrogate pair.

        Only what the second decoder read can hold such halves, and they cannot be encoded as UTF-8.
        """
        if not self._halves[kind] and text.isprintable():  # A surrogate is not printable, nearly all text is.
            return text
        text = self._halves[kind] + text
        self._halves[kind] = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
        text = text[: len(text) - len(self._halves[kind])]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _counts(usage: dict[str, Any], *, with_details: bool = True) -> dict[str, Any]:
    """Return the numbers of a usage, and of the details in it; a provider could write anything else there."""
    known = {name: value for name, value in [*usage.items()][:MAX_COUNTS] if _COUNT.fullmatch(name)}
    found = {name: value for name, value in known.items() if type(value) in (int, float) and 0 <= value < MAX_COUNT}
    for name, value in known.items():
        if with_details and isinstance(value, dict) and (details := _counts(value, with_details=False)):
            found[name] = details
    return found


def _joined(pieces: list[Text | Reasoning]) -> list[Piece]:
    joined: list[Piece] = []
    for is_text, run in groupby(pieces, lambda piece: isinstance(piece, Text)):
        text = "".join(piece.text for piece in run)
        joined.append(Text(text) if is_text else Reasoning(text))
    return joined


def _chunk(event: bytes) -> _Chunk:
    try:
        return _decode(event)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _odd_chunk(event)


def _odd_chunk(event: bytes) -> _Chunk:
    """Decode what the strict decoder refuses: half surrogate pairs, and fields of unexpected types, which are skipped.

    Raises `Failure` for what is not JSON in UTF-8.
    """
    try:
        body = json.loads(event.decode())
    except (ValueError, RecursionError) as error:
        raise Failure(500, "up_bad_data", "The provider sent data that could not be understood.") from error
    choices = _get(body, "choices", list) or []
    return _Chunk(
        choices=[_odd_choice(choice) for choice in choices],
        usage=_get(body, "usage", dict),
        x_groq=_GroqChunk(_get(_get(body, "x_groq", dict), "usage", dict)),
        error=body.get("error") if isinstance(body, dict) else None,
        object=_get(body, "object", str),
        message=body.get("message") if isinstance(body, dict) else None,
    )


def _odd_choice(choice: object) -> _Choice:
    delta = _get(choice, "delta", dict) or _get(choice, "message", dict)
    content = _get(delta, "content", str) or _get(delta, "content", list)
    reasoning = _get(delta, "reasoning", str) or _get(delta, "reasoning_content", str)
    reason = _encodable(_get(choice, "finish_reason", str))
    return _Choice(_Delta(content, reasoning), finish_reason=reason)


def _get(body: object, name: str, kind: type[T]) -> T | None:
    """Return a member if it is of the kind expected."""
    value = body.get(name) if isinstance(body, dict) else None
    return value if isinstance(value, kind) else None


def _encodable(value: T) -> T:
    """Replace half characters, which cannot be told, wherever they are."""
    whole: T = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    return whole


def _parts(content: list[Any], kind: str) -> str:
    """Join the parts of one kind of Mistral's list content (https://docs.mistral.ai/capabilities/reasoning)."""
    found = [part.get(kind) for part in content if isinstance(part, dict) and part.get("type") == kind]
    texts = [_texts(item) if isinstance(item, list) else item for item in found]
    return "".join(text for text in texts if isinstance(text, str))


def _texts(parts: list[Any]) -> str:
    """Join the text parts that a thought consists of."""
    texts = [part.get("text") for part in parts if isinstance(part, dict) and part.get("type") == "text"]
    return "".join(text for text in texts if isinstance(text, str))
