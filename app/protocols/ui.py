"""The AI SDK's UI message stream, version 1 (https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol).

It has only events that versions 5.0 to 7 all accept. Version 5.0 refuses a `finishReason` and any unknown key, so the
reason and the usage are in the `messageMetadata`, and the code of an error is in a data part before it.
"""

from collections.abc import Iterator
from typing import assert_never

import msgspec

from ..answer import Answer, Finish, Piece, Reasoning, Silence, Text
from ..failure import Failure
from . import chatbot_ui, schemas

MODE = "sse"
HEADERS = {"Content-Type": "text/event-stream", "x-vercel-ai-ui-message-stream": "v1"}

read = schemas.read
refusal = chatbot_ui.refusal

_encode = msgspec.json.encode

_START = b'data: {"type":"start"}\n\ndata: {"type":"start-step"}\n\n'
_BEAT = b": still waiting\n\n"
_DONE = b"data: [DONE]\n\n"


def frames(answer: Answer, **_: bool) -> Iterator[bytes]:
    """Yield the events of each read; there are no notes, because failures and finish reasons have events.

    After a failure comes an error event, without a finish event, and the open block is not closed.
    """
    before, block = _START, _Block()
    try:
        for pieces in answer:
            yield before + b"".join(map(block.events, pieces))
            before = b""
    except Failure as failure:
        yield before + _failure(failure)


class _Block:
    """The open block of text or reasoning: pieces of its kind are its deltas, any other kind ends it."""

    def __init__(self) -> None:
        self._kind = b""
        self._id = 0

    def events(self, piece: Piece) -> bytes:
        """Return one piece as events."""
        match piece:
            case Text(text):
                return self._delta(b"text", text)
            case Reasoning(text):
                return self._delta(b"reasoning", text)
            case Silence():
                return _BEAT
            case Finish():
                return self.end() + _finish(piece)
            case _:
                assert_never(piece)

    def _delta(self, kind: bytes, text: str) -> bytes:
        opened = b"" if kind == self._kind else self.end() + self._open(kind)
        return opened + b'data: {"type":"%b-delta","id":"%d","delta":%b}\n\n' % (kind, self._id, _encode(text))

    def _open(self, kind: bytes) -> bytes:
        self._kind = kind
        self._id += 1
        return b'data: {"type":"%b-start","id":"%d"}\n\n' % (kind, self._id)

    def end(self) -> bytes:
        """Return the end of the open block, if there is one."""
        kind, self._kind = self._kind, b""
        return b'data: {"type":"%b-end","id":"%d"}\n\n' % (kind, self._id) if kind else b""


def _event(**members: object) -> bytes:
    return b"data: " + _encode(members) + b"\n\n"


def _finish(finish: Finish) -> bytes:
    metadata = {"finishReason": finish.reason} | ({"usage": finish.usage} if finish.usage else {})
    return _event(type="finish-step") + _event(type="finish", messageMetadata=metadata) + _DONE


def _failure(failure: Failure) -> bytes:
    detail = {"code": failure.code, "message": failure.message}
    return _event(type="data-error", data=detail, transient=True) + _event(type="error", errorText=failure.message)
