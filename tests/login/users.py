"""People who ask, each by a login of their own, and the environments in which a service knows them."""

import json
import re
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import Result

from app import create_app
from app.config import Settings
from tests.client import HELLO, Reply, ask
from tests.login import identity
from tests.machine import slack
from tests.processes import ROOT, Service, Simulator, environment_without
from tests.raw import connect

ORIGIN = "https://app.example"
"""Another origin, whose pages may ask."""

REQUEST_ID = "the-same-for-all"

NOBODY_LISTENS = "http://127.0.0.1:9"
"""An endpoint that users may have, and at which nothing is."""


def widened(environment: Mapping[str, str], simulator: Simulator) -> dict[str, str]:
    """Return an environment in which another origin's pages may ask, and this machine's simulator be an endpoint."""
    here = simulator.url.replace("127.0.0.1", "localhost")
    return {
        **environment,
        "CORS_ORIGINS": ORIGIN,
        "ENDPOINT_ALLOWLIST": f"{simulator.url},{here},{NOBODY_LISTENS}",
    }


def with_login(environment: Mapping[str, str], simulator: Simulator) -> dict[str, str]:
    """Return such an environment in which the identity provider's tokens, and its cookies, are a login."""
    names = {"AUTH_JWT_AUDIENCE": identity.AUDIENCE, "AUTH_JWT_ISSUER": identity.ISSUER}
    return {**widened(environment, simulator), **names, "AUTH_JWT_SECRET": identity.SECRET}


@dataclass(frozen=True)
class User:
    """Somebody with a token."""

    service: Service
    id: str
    token: str

    def ask(self, path: str, body: bytes | None = None, *, method: str = "GET", **headers: str) -> Reply:
        """Send any request."""
        return ask(self.service, path, body, method=method, authorization=f"Bearer {self.token}", **headers)

    def chat(self, provider: str = "openai", model: str = "demo", *, text: str = "Hello?", **headers: str) -> Reply:
        """Ask a question."""
        return self.ask(f"/api/chat/{provider}", question(model, text), method="POST", **headers)

    def put(self, name: str, value: object) -> Reply:
        """Set a setting."""
        return self.ask(f"/api/profile/settings/{name}", json.dumps({"value": value}).encode(), method="PUT")

    def has(self, **settings: str) -> "User":
        """Set settings that are good."""
        for name, value in settings.items():
            assert self.put(name, value).status == 200
        return self

    def delete(self, name: str) -> Reply:
        """Remove a setting."""
        return self.ask(f"/api/profile/settings/{name}", method="DELETE")

    def check(self, name: str) -> Reply:
        """Have a provider asked whether a setting is right."""
        return self.ask(f"/api/profile/settings/{name}/check", b"", method="POST")

    def own(self) -> dict[str, Any]:
        """Return the settings of this user's profile, as far as they are shown: of keys, the last four."""
        found = self.ask("/api/profile").json()
        assert found["user"] == self.id
        return {one["name"]: one["value"] or one["lastFour"] for one in found["settings"] if one["isInProfile"]}


def somebody(service: Service, user: str = "", /, **claims: object) -> User:
    """Return a user, by default a new one, with a token of the identity provider's."""
    user = user or mark("user")
    return User(service, user, identity.token(changed={"sub": user} | claims))


def holder(service: Service, user: str) -> tuple[User, str]:
    """Make a token of ours for a user; return who holds it, and the token's id."""
    done = invoke(service, "token", "create", "--user", user)
    assert done.exit_code == 0
    return User(service, user, done.stdout.strip()), token_id(done.stderr)


def token_id(said: str) -> str:
    """Return the id of a token, of what was said when it was made."""
    return said.rpartition(" ")[2].strip(":\n")


def invoke(service: Service, *arguments: str) -> Result:
    """Run a command on a service's database, in this very process, which takes less time than another."""
    settings = Settings(database_url=f"sqlite:///{service.database}")
    return create_app(settings).test_cli_runner().invoke(args=arguments)


def command(service: Service, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command beside a service, on its database."""
    program = str(Path(sys.executable).parent / "flask")
    environment = environment_without({"DATABASE_URL": f"sqlite:///{service.database}"})
    line = [program, "--app", "wsgi", *arguments]
    return subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)


def question(model: str = "demo", text: str = "") -> bytes:
    """Write the body of a chat request."""
    messages = [{"role": "user", "content": text}] if text else HELLO
    return json.dumps({"chatSettings": {"model": model}, "messages": messages}).encode()


def coded_cookie(access_token: str) -> str:
    """Write the cookie in which Supabase keeps a session, as @supabase/ssr does today."""
    session = json.dumps({"access_token": access_token, "token_type": "bearer", "user": {"id": "x"}})
    return "sb-project-auth-token=base64-" + identity.b64(session.encode())


def mark(kind: str = "mark") -> str:
    """Return a word that is nowhere else."""
    return f"{kind}-{uuid.uuid4().hex}"


def seen(simulator: Simulator, marked: str) -> list[dict[str, Any]]:
    """Return the requests in which the provider received a word, wherever it stood."""
    return [request for request in simulator.requests() if marked in json.dumps(request)]


def latest(simulator: Simulator) -> int:
    """Return the number of the last request that the provider received."""
    return max((int(request["id"]) for request in simulator.requests()), default=0)


def record(service: Service, request_id: str) -> dict[str, Any]:
    """Return the log's line of a chat that has ended."""
    lines = [line for line in service.log.read_text().splitlines() if request_id in line and line.startswith("{")]
    found: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    return found


def told(reply: Reply) -> tuple[int, str, str]:
    """Return an error's status, code and sentence."""
    body = reply.json()
    return reply.status, body["code"], body["message"]


def profiles(service: Service) -> set[str]:
    """Return the users who have a profile."""
    with closing(sqlite3.connect(service.database)) as database:
        return {user for (user,) in database.execute("SELECT user_id FROM profiles")}


def refusal(service: Service, *headers: bytes, path: str = "/api/chat/openai") -> bytes:
    """Send the head of a request whose body never comes; return the whole answer, but for its date.

    Nobody who is refused is waited for.
    """
    head = [f"POST {path} HTTP/1.1".encode(), b"Host: localhost", f"X-Request-ID: {REQUEST_ID}".encode()]
    started = time.monotonic()
    with connect(service.port, b"\r\n".join([*head, b"Content-Length: 5000000", *headers, b"", b""])) as client:
        found = client.until(b"}")
    assert time.monotonic() - started < min(5 * slack(), 10)  # a body is waited for longer
    return re.sub(rb"\r\nDate: [^\r]*", b"", found)
