"""The service under test, as a client, its log and the kernel see it."""

import json
import re
import shlex
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

from tests.canaries.marks import found, known
from tests.far import Far, Script
from tests.faults import pulse
from tests.faults.worker import descriptors
from tests.machine import slack
from tests.processes import Processes, Service, procfile, wait_for
from tests.raw import KEY, PROMPT, Client

SECONDS = 30
"""How long anything may take before a test gives up."""

SOON = 5.0
"""Seconds: what waits for no deadline is over by then, however busy the machine is."""

PATIENT = {
    # Nothing that is no row of its own may meet a deadline: each is far more than `SOON`.
    "CONNECT_TIMEOUT_SECONDS": "15",
    "COMMIT_SECONDS": "15",
    "FIRST_EVENT_TIMEOUT_SECONDS": "20",
    "IDLE_TIMEOUT_SECONDS": "15",
    "STREAM_TIMEOUT_SECONDS": "60",
    "BODY_TIMEOUT_SECONDS": "15",
    "WRITE_TIMEOUT_SECONDS": "15",
    "HEADER_TIMEOUT_SECONDS": "15",
    "DRAIN_SECONDS": "1.5",
}

CONNECT, COMMIT, FIRST_EVENT, IDLE = 0.8, 0.6, 2.4, 0.8
"""Seconds: the scaled timeouts of those rows that meet a provider's."""

HASTY = {
    "CONNECT_TIMEOUT_SECONDS": str(CONNECT),
    "COMMIT_SECONDS": str(COMMIT),
    "FIRST_EVENT_TIMEOUT_SECONDS": str(FIRST_EVENT),
    "IDLE_TIMEOUT_SECONDS": str(IDLE),
    "HEARTBEAT_SECONDS": "0.2",
}

HEADER, BODY, WRITE = 0.6, 0.6, 0.8
"""Seconds: those of the rows that meet a client's."""

STRICT = {
    "HEADER_TIMEOUT_SECONDS": str(HEADER),
    "BODY_TIMEOUT_SECONDS": str(BODY),
    "WRITE_TIMEOUT_SECONDS": str(WRITE),
}

FOREIGN = {
    # What the SDK would send to any provider if it were let: none of it may ever arrive.
    "OPENAI_ORG_ID": f"org-{KEY}",
    "OPENAI_PROJECT_ID": f"proj-{KEY}",
    "OPENAI_ADMIN_KEY": f"sk-admin-{KEY}",
    "OPENAI_CUSTOM_HEADERS": f"X-Foreign: {KEY}\nAuthorization: Bearer sk-foreign-{KEY}",
}

KEYS = {f"{name}_API_KEY": f"sk-{name[:1].lower()}-{KEY}" for name in ("OPENAI", "GROQ", "MISTRAL", "AZURE_OPENAI")}
CANARIES = [known("a key", KEY)]


def environment(far: Far, **changes: str) -> dict[str, str]:
    """Return an environment in which OpenAI, Groq and Mistral are the far end, and deadlines are far away."""
    bases = {f"{name}_BASE_URL": far.url for name in ("OPENAI", "GROQ", "MISTRAL")}
    return {**FOREIGN, **PATIENT, **KEYS, **bases, "KEY_POLICY": "profile-first", **changes}


@dataclass
class Seen:
    """An answer, in the bytes that came, and when. `whole` tells whether its framing says that this was all."""

    raw: bytes = b""
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 0
    whole: bool = False
    sent_at: float = 0
    first_at: float = 0
    ended_at: float = 0
    model: str = ""
    mode: str = ""
    provider: str = ""

    @property
    def request_id(self) -> str:
        """Return the id that the service's log has for it."""
        return self.headers["x-request-id"]

    @property
    def took(self) -> float:
        """Return the seconds from the question to the answer's end."""
        return self.ended_at - self.sent_at

    def json(self) -> dict[str, Any]:
        """Return an error's body."""
        found: dict[str, Any] = json.loads(self.body)
        return found

    def parts(self) -> list[dict[str, Any]]:
        """Return the JSON of server-sent events, in their order."""
        return [json.loads(block[6:]) for block in self.body.split(b"\n\n") if block.startswith(b"data: {")]

    def text(self) -> str:
        """Return the answer's text in either protocol."""
        if self.headers["content-type"] == "text/event-stream":
            return "".join(part["delta"] for part in self.parts() if part["type"] == "text-delta")
        return self.body.decode()


class Call:
    """A request under way, over a connection of its own."""

    def __init__(self, port: int, request: bytes) -> None:
        self.seen = Seen()
        self.client = Client(socket.create_connection(("127.0.0.1", port), timeout=SECONDS))
        self.seen.sent_at = time.monotonic()
        self.client.send(request)

    def begin(self) -> None:
        """Read until the head is here."""
        self.client.until(b"\r\n\r\n")

    def finish(self) -> Seen:
        """Read to the answer's end, and let go."""
        seen, answer = self.seen, self.client.finish()
        seen.first_at, seen.ended_at = self.client.first_at, time.monotonic()
        self.client.socket.close()
        seen.raw, seen.body, seen.whole = self.client.received, answer.body, answer.whole
        seen.status, seen.headers = answer.status, answer.headers
        assert found(seen.raw, CANARIES) == [], "an answer shows a key"
        return seen


class Sluice:
    """A service under the Procfile's line, in front of a far end."""

    def __init__(self, service: Service, far: Far) -> None:
        self.service = service
        self.port = service.port
        self.worker = service.pids()[1]
        self.far = far
        self.source = "environment"
        """Whose key OpenAI is asked with."""
        self._calm = {"greenlets": 0, "chats": 0, "descriptors": 0}

    def start(self, model: str, mode: str = "text", provider: str = "openai", **more: Any) -> Call:  # noqa: ANN401
        """Send a question; `more` are the chat's settings, and `prompt`."""
        call = Call(self.port, question(model, mode, provider, **more))
        call.seen.model, call.seen.mode, call.seen.provider = model, mode, provider
        return call

    def chat(self, model: str, mode: str = "text", provider: str = "openai", **more: Any) -> Seen:  # noqa: ANN401
        """Ask a question and read its answer to the end."""
        return self.start(model, mode, provider, **more).finish()

    def ask(self, model: str, mode: str, *scripts: Script, provider: str = "openai") -> Seen:
        """Let the far end play this for a model, and ask it."""
        return self.chat(self.far.script(model, *scripts), mode, provider)

    def take_key_from(self, source: str) -> None:
        """Have OpenAI asked with the same key from the profile or from the environment, as it is at the start."""
        if source == self.source:
            return
        value = json.dumps({"value": KEYS["OPENAI_API_KEY"]})
        method, body = ("PUT", value) if source == "profile" else ("DELETE", "")
        lines = [f"{method} /api/profile/settings/openai_api_key HTTP/1.1", "Host: localhost"]
        head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
        assert Call(self.port, (head + body).encode()).finish().status == 200
        self.source = source

    def source_for(self, provider: str) -> str:
        """Return whose key a provider is asked with."""
        return self.source if provider == "openai" else "environment"

    def records(self, request_id: str = "") -> list[dict[str, Any]]:
        """Return the log's records of chats: all, or a request's."""
        lines = self.service.log.read_text().rpartition("\n")[0].splitlines()  # the last may be half written
        found = [json.loads(line) for line in lines if line.startswith("{") and request_id in line]
        return [record for record in found if record["event"] == "chat" and request_id in ("", record["requestId"])]

    def record(self, request_id: str) -> dict[str, Any]:
        """Return a request's one record, which may be a moment behind its answer."""
        found = wait_for(lambda: self.records(request_id))
        assert len(found) == 1, found
        return found[0]

    def healthz_ms(self) -> float:
        """Return how long the service takes to say that it is alive."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS) as sock:
            return pulse.beat(sock)

    def is_quick(self) -> bool:
        """Tell whether the service says at once that it is alive; the best of a few times counts."""
        return any(self.healthz_ms() < 100 * slack() for _ in range(3))

    def pulse(self) -> AbstractContextManager[list[float]]:
        """Ask all the while whether the service is alive."""
        return beating(self.port)

    def observed(self, query: str = "") -> dict[str, int]:
        """Return how many greenlets, running chats and descriptors there are in the worker."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS) as sock:
            sock.sendall(f"GET /observed{query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            body = sock.makefile("rb").read().partition(b"\r\n\r\n")[2]
        found: dict[str, int] = json.loads(re.findall(rb"\{.*\}", body)[0])
        return found | {"descriptors": descriptors(self.worker, self.far.port)}

    def calm(self) -> None:
        """Take what there is now as the state to which every fault must return."""
        self.observed("?freeze")
        self._calm = wait_for(lambda: now if (now := self.observed()) == self.observed() else None)

    def assert_calm(self, seconds: float = 2 * SOON) -> None:
        """Wait until nothing is left of what went on."""
        deadline = time.monotonic() + seconds
        while (now := self.observed()) and any(now[name] > self._calm[name] for name in now):
            assert time.monotonic() < deadline, f"{now} is left, {self._calm} was there before"
            time.sleep(0.02)
        assert self.service.pids()[1:] == [self.worker], "the worker was replaced"


def start(processes: Processes, far: Far, settings: Mapping[str, str]) -> Sluice:
    """Start the Procfile's line, with a look inside."""
    line = shlex.join(procfile("web")).replace("wsgi:app", "tests.faults.observed:app")
    return Sluice(processes.fresh_service(settings, line), far)


def question(model: str, mode: str = "text", provider: str = "openai", **more: Any) -> bytes:  # noqa: ANN401
    """Write a chat request."""
    messages = [{"role": "user", "content": more.pop("prompt", PROMPT)}]
    body = json.dumps({"chatSettings": {"model": model, **more}, "messages": messages}).encode()
    head = [
        f"POST /api/chat/{provider} HTTP/1.1",
        "Host: localhost",
        "Content-Type: text/plain;charset=UTF-8",
        f"Content-Length: {len(body)}",
        f"Accept: {'text/event-stream' if mode == 'sse' else '*/*'}",
        f"X-Request-ID: fault-{uuid.uuid4().hex}",
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


@contextmanager
def beating(port: int) -> Iterator[list[float]]:
    """Ask a service all the while whether it is alive; the list takes each answer's milliseconds."""
    command = [sys.executable, "-IS", pulse.__file__, str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        found = [float(process.stdout.readline())]
        reader = Thread(target=lambda lines: found.extend(map(float, lines)), args=(process.stdout,))
        reader.start()
        try:
            yield found
        finally:
            process.stdin.close()
            reader.join()
