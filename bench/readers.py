"""What an answer says, in each of the three forms that servers answer in."""

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from bench.load import Reply

INCOMPLETE = "[This answer is incomplete. "
"""How Sluice begins the last line of a text that ends too early."""


class Reading(NamedTuple):
    """The text of an answer, and whether the body says that the answer has ended, and that it has failed."""

    text: str
    ended: bool
    failed: bool


Reader = Callable[[Reply], Reading]


def plain(reply: Reply) -> Reading:
    """Read plain text. Its end is the end of the body: only an added sentence can say that it failed."""
    text, note, _ = reply.body.decode("utf-8", "replace").partition(INCOMPLETE)
    return Reading(text.rstrip("\n") if note else text, ended=reply.clean and not note, failed=bool(note))


def completions(reply: Reply) -> Reading:
    """Read chunks of OpenAI's chat completions. `[DONE]` says that the answer has ended."""
    events, done = _events(reply.body)
    choices = [choice for event in events for choice in event.get("choices", ())]
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    return Reading(text, ended=done, failed=any("error" in event for event in events))


def ui(reply: Reply) -> Reading:
    """Read the AI SDK's UI message stream. `finish` or `[DONE]` says that the answer has ended."""
    events, done = _events(reply.body)
    text = "".join(event["delta"] for event in events if event["type"] == "text-delta")
    kinds = {event["type"] for event in events}
    return Reading(text, ended=done or "finish" in kinds, failed="error" in kinds)


def _events(body: bytes) -> tuple[list[dict[str, Any]], bool]:
    """Return the data of each whole event as JSON, and whether `[DONE]` came last."""
    data = [*_data(body)]
    done = data[-1:] == [b"[DONE]"]
    return [json.loads(item) for item in data[: -1 if done else None]], done


def _data(body: bytes) -> Iterator[bytes]:
    for event in body.replace(b"\r\n", b"\n").split(b"\n\n")[:-1]:
        yield from (line[6:] for line in event.split(b"\n") if line.startswith(b"data: "))
