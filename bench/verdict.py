"""What a soak asks, and what each reply to it is: as it must be, or what is wrong with it."""

import json
import math
from dataclasses import dataclass
from random import Random
from typing import Literal

from app.simulator import words
from bench import readers
from bench.load import Job, Reply

Wire = Literal["text/plain", "text/event-stream"]
Ending = Literal["success", "failure", "nothing"]

FAULTY = 0.2
PACE = 50
LENGTHS = (1, 20, 60, 120)
AFTER = (0, 3, 17)
"""After how many words a fault comes."""

_HARMLESS = ("", "", "", "", "@crlf", "@slow-0.2", "@late-0.2", "@nodone")
_BREAKING = ("cut", "reset", "truncated", "error", "badjson", "badutf8", "stall")
_REFUSING = ("status-429", "status-500", "quota", "html", "empty", "hang", "silent", "comments")


@dataclass(frozen=True, slots=True)
class Question:
    """One question: the model that the simulator knows it by, and the most that may come of its answer."""

    model: str
    wire: Wire
    text: str
    faulty: bool = False
    leave_after: float = math.inf

    @property
    def job(self) -> Job:
        """Return its request."""
        chat = {"chatSettings": {"model": self.model}, "messages": [{"role": "user", "content": "Well?"}]}
        body = json.dumps(chat)
        head = f"POST /api/chat/openai HTTP/1.1\r\nHost: localhost\r\nAccept: {self.wire}\r\n"
        return Job(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode(), leave_after=self.leave_after)


def question(chance: Random) -> Question:
    """Choose what to ask. Of the faults a seventh are the reader's own: it leaves."""
    wire: Wire = "text/plain" if chance.random() < 0.5 else "text/event-stream"
    length = chance.choice(LENGTHS)
    model, text = f"gpt-4o@events-{length}@pace-{PACE}", "".join(words(length))
    if chance.random() >= FAULTY:
        return Question(model + chance.choice(_HARMLESS), wire, text)
    kind = chance.choice(("break", "break", "break", "break", "refuse", "refuse", "leave"))
    if kind == "leave":
        return Question(model, wire, text, leave_after=chance.randrange(1, 200))
    if kind == "refuse":
        return Question(f"gpt-4o@{chance.choice(_REFUSING)}", wire, "", faulty=True)
    after = chance.choice(AFTER)
    model = f"gpt-4o@events-{length + after}@pace-{PACE}@{chance.choice(_BREAKING)}-{after}"
    return Question(model, wire, "".join(words(after)), faulty=True)


def judge(asked: Question, reply: Reply) -> str:
    """Say in a few words what a reply is; what is wrong begins with "wrong"."""
    if reply.left:
        return "left by the reader"
    if reply.status != 200:
        told = reply.clean and asked.faulty and reply.status >= 400
        return "refused with a status, as it must be" if told else f"wrong: status {reply.status} for {asked.model}"
    read = readers.plain if asked.wire == "text/plain" else readers.ui
    text, ended, failed = read(reply)
    ending = _ending(ended=ended, failed=failed, clean=reply.clean)
    wrong = {
        f"wrong: false success for {asked.model}": ending == "success" and asked.faulty,
        f"wrong: failure of {asked.model}": ending == "failure" and not asked.faulty,
        f"wrong: neither success nor failure for {asked.model}": ending == "nothing",
        f"wrong: other text than was sent for {asked.model}": text != asked.text,
    }
    right = "cut, and told so, as it must be" if asked.faulty else "whole, byte for byte"
    return next((what for what, holds in wrong.items() if holds), right)


def _ending(*, ended: bool, failed: bool, clean: bool) -> Ending:
    """Tell success from failure; an end that is said and then contradicted, or not said, is neither."""
    if ended:
        return "success" if clean and not failed else "nothing"
    return "failure" if failed or not clean else "nothing"
