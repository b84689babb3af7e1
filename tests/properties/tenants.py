"""Two users of one house, the provider whom it asks for them, and what they do there: all in one loop of the test's.

The provider keeps what it was asked, answers with the question, and holds the first answers until there is one in every
lane. A lane is a connection over which requests of both users follow each other, as from a proxy in front.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple

from app.store import Store
from tests.far.scripts import CHUNKED, DONE, LAST, chunk, delta, stop

LANES = 200
SECONDS = 30
"""How long anything may take."""

HOSTS = {"alice": "127.0.0.1", "bob": "localhost"}
"""Where each user's Azure is: the same place, by another name."""
USERS = tuple(HOSTS)
PROVIDERS = ("openai", "groq", "mistral", "azure")
MODEL = "gpt-3.5-turbo"
"""The one that Azure knows as well."""


class Step(NamedTuple):
    """One request. What it `does`: `chat`, `leave` in mid-answer, `show`, `remove`, or the number of the key to set."""

    user: str
    provider: str
    does: str
    accept: str = "*/*"
    is_held: bool = False


def key(user: str, provider: str, number: int | str = 0) -> str:
    """Return a key that says whose it is, at its end too, which is shown."""
    return f"{user}-{provider}-{number}-of-{user}"


class Asked(NamedTuple):
    """A question as it came to a provider."""

    provider: str
    model: str
    headers: dict[str, str]
    text: str


@dataclass
class Provider:
    """All providers at once: the address that was asked says which. A question that ends in `hold` is held."""

    asked: list[Asked] = field(default_factory=list)
    held: int = 0
    most_held: int = 0
    full: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a connection's questions one after the other."""
        with suppress(ConnectionError, asyncio.IncompleteReadError), closing(writer):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                headers = dict(re.findall(r"(?m)^([\w-]+): (.*)\r$", head))
                body = json.loads(await reader.readexactly(int(headers["content-length"])))
                asked = Asked(head.split("/")[1], body["model"], headers, body["messages"][-1]["content"])
                self.asked.append(asked)
                writer.write(CHUNKED + chunk(delta(asked.text)))
                if asked.text.endswith("hold"):
                    await self._hold(reader)
                await asyncio.sleep(len(self.asked) % 7 / 500)  # so that answers overlap
                writer.write(chunk(delta("."), stop(), DONE) + LAST)

    async def _hold(self, reader: asyncio.StreamReader) -> None:
        """Wait for all others, or until the service has let go."""
        self.held += 1
        self.most_held = max(self.held, self.most_held)
        if self.held == LANES:
            self.full.set()
        gone, released = asyncio.ensure_future(reader.read(1)), asyncio.ensure_future(self.release.wait())
        await asyncio.wait([gone, released], return_when=asyncio.FIRST_COMPLETED)
        self.held -= 1
        if not self.release.is_set():
            raise ConnectionError
        gone.cancel()


class Answer(NamedTuple):
    """What came back for a step."""

    step: Step
    asked: str
    status: int
    source: str
    body: str

    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class House:
    """A service, its users' tokens, and the loop in which clients and provider take turns."""

    port: int
    store: Store
    shared: dict[str, str]
    """The providers that are asked with the environment's key, and that."""
    loop: asyncio.Runner
    provider: Provider
    azure: int
    """Its port."""
    tokens: dict[str, str] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=count)

    def welcome(self) -> None:
        """Have new users by the same names, whom no process remembers, with a profile and a token each."""
        number = next(self.numbers)
        for user, host in HOSTS.items():
            name = f"{user}-{number}"
            self.store.profiles.set(name, "openai_organization_id", f"organization-of-{user}")
            self.store.profiles.set(name, "azure_openai_endpoint", f"http://{host}:{self.azure}/azure")
            self.store.profiles.set(name, "azure_openai_35_turbo_id", f"deployment-of-{user}")
            self.tokens[user] = self.store.tokens.create(name)[1]

    async def play(self, plan: list[list[Step]]) -> list[Answer]:
        """Hold a stream in every lane; have every third left, keys changed, the rest go on; then follow the plan."""
        self.provider.asked, self.provider.held, self.provider.most_held = [], 0, 0
        self.provider.full, self.provider.release = asyncio.Event(), asyncio.Event()
        answers = await self.lane([Step(user, name, "0") for user in USERS for name in PROVIDERS])
        running = asyncio.gather(*(self.lane([held(number), *plan[number % len(plan)]]) for number in range(LANES)))
        with suppress(TimeoutError):  # which the test tells better, by what came instead
            await asyncio.wait_for(self.provider.full.wait(), SECONDS)
        answers += await self.lane([step for lane in plan for step in lane if step.does not in ("chat", "leave")])
        self.provider.full.set()
        self.provider.release.set()
        return answers + [answer for found in await asyncio.wait_for(running, SECONDS) for answer in found]

    async def lane(self, steps: list[Step]) -> list[Answer]:
        """Take these steps over one connection, with a new one behind each that is left."""
        answers: list[Answer] = []
        for number, step in enumerate(steps):
            if not number or steps[number - 1].does == "leave":
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            answers.append(await self._take(step, reader, writer))
            if step.does == "leave":
                await self.provider.full.wait()
                writer.close()
        if steps:
            writer.close()
        return answers

    async def _take(self, step: Step, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer:
        """Take a step; one that is held again and again while too many ask the database for what is new to it."""
        while True:
            text = f"{step.user} {next(self.numbers)}{' hold' * step.is_held}"
            writer.write(request(step, self.tokens[step.user], text))
            answer = await answer_to(step, text, reader)
            if self.provider.full.is_set() or not step.is_held or answer.status != 503:
                return answer


def held(number: int) -> Step:
    """Return the first step of a lane."""
    does, accept = ("leave" if number % 3 == 0 else "chat"), ("*/*", "text/event-stream")[number // 8 % 2]
    return Step(USERS[number % 2], PROVIDERS[number // 2 % 4], does, accept, is_held=True)


def request(step: Step, token: str, text: str) -> bytes:
    """Write a step's request."""
    name = f"{step.provider}_api_key".replace("azure", "azure_openai")
    path, body = f"/api/profile/settings/{name}", b""
    if step.does in ("chat", "leave"):
        message = {"role": "user", "content": text}
        method, path = "POST", f"/api/chat/{step.provider}"
        body = json.dumps({"chatSettings": {"model": MODEL}, "messages": [message]}).encode()
    elif step.does == "show":
        method, path = "GET", "/api/profile"
    elif step.does == "remove":
        method = "DELETE"
    else:
        method, body = "PUT", json.dumps({"value": key(step.user, step.provider, step.does)}).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}"]
    lines += [f"Accept: {step.accept}", f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


async def answer_to(step: Step, text: str, reader: asyncio.StreamReader) -> Answer:
    """Read an answer; of one that is left, only how it begins."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    headers = dict(re.findall(r"(?m)^([\w-]+): (.*)\r$", head))
    body = b""
    if "Content-Length" in headers:
        body = await reader.readexactly(int(headers["Content-Length"]))
    while "Content-Length" not in headers and (size := int(await reader.readuntil(b"\r\n"), 16)):
        body += (await reader.readexactly(size + 2))[:-2]
        if step.does == "leave" and text.encode() in body:
            break
    else:
        await reader.readexactly(0 if "Content-Length" in headers else 2)
    return Answer(step, text, int(head.split()[1]), headers.get("X-Key-Source", ""), body.decode())
