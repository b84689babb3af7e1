"""The service as it is shipped, full of secrets: in its environment, in the profile of a user, in every address."""

import json
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.canaries.marks import Canary, canary, found, found_in_files, known
from tests.canaries.mirror import ECHOES, Mirror
from tests.faults.sluice import PATIENT, Call, Seen
from tests.processes import ROOT, Processes, Service, command, environment_without, stop

PROVIDERS = ("openai", "groq", "mistral", "azure")
OWNER, GUEST = "owner", "guest"
"""One has keys in a profile; the other asks with the environment's."""

_PREFIXES = {"openai": "sk-proj-", "groq": "gsk_", "mistral": "", "azure_openai": ""}


def profile_canaries() -> dict[str, Canary]:
    """Make a user's secrets, by the settings they are kept in."""
    keys = {f"{name}_api_key": canary(f"profile's {name} key", prefix) for name, prefix in _PREFIXES.items()}
    return {**keys, "openai_organization_id": canary("profile's organization", "org-")}


def environment_canaries() -> dict[str, Canary]:
    """Make an operator's secrets, by their variables; those of the SDK's too, which are nobody's business."""
    keys = {f"{name.upper()}_API_KEY": canary(f"environment's {name} key", p) for name, p in _PREFIXES.items()}
    foreign = {name: canary(name, "sk-") for name in ("OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID")}
    return {**keys, **foreign, "OPENAI_ORGANIZATION_ID": canary("environment's organization", "org-")}


def environment(mirror: Mirror, secrets: Mapping[str, Canary], proxy: Canary) -> dict[str, str]:
    """Return an environment in which every provider is the mirror."""
    return {
        **PATIENT,
        "BODY_TIMEOUT_SECONDS": "1",
        **{variable: secret.value for variable, secret in secrets.items()},
        **{f"{name}_BASE_URL": mirror.url for name in ("OPENAI", "GROQ", "MISTRAL")},
        "AZURE_OPENAI_ENDPOINT": mirror.origin,
        "AZURE_OPENAI_DEPLOYMENTS": json.dumps({name: name for name in ECHOES}),
        "ENDPOINT_ALLOWLIST": mirror.origin,
        "HTTPS_PROXY": mirror.origin.replace("://", f"://operator:{proxy.value}@"),
        "KEY_POLICY": "profile-first",
    }


@dataclass
class House:
    """A service, and everything that came out of it since somebody last looked."""

    service: Service
    mirror: Mirror
    settings: dict[str, str]
    """Its environment."""
    canaries: dict[str, Canary]
    """All its secrets, by the variable or the setting that they are in."""
    logins: dict[str, str] = field(default_factory=dict)
    """What users show, by their names."""
    told: list[tuple[str, bytes]] = field(default_factory=list)
    """All answers, and all that commands have said, each behind what it was asked for."""
    _read: int = 0
    """How much of the log has been searched."""
    _known: list[str] = field(default_factory=list)
    """What was found in files before, and told of."""

    def ask(self, method: str, path: str, body: bytes = b"", user: str = OWNER, *headers: str) -> Seen:
        """Ask for something, as a user who shows a token, or as nobody."""
        login = [f"Authorization: Bearer {self.logins[user]}"] if user else []
        length = [f"Content-Length: {len(body)}"] if body or method != "GET" else []
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *length, *login, *headers]
        return self.send("\r\n".join([*lines, "", ""]).encode() + body)

    def send(self, request: bytes) -> Seen:
        """Send these bytes, and keep what comes back."""
        seen = Call(self.service.port, request).finish()
        self.told.append((f"the answer to {request.splitlines()[0]!r}", bytes(seen.raw)))
        return seen

    def chat(self, provider: str, model: str, mode: str = "text", user: str = OWNER) -> Seen:
        """Ask a question."""
        body = {"chatSettings": {"model": model}, "messages": [{"role": "user", "content": "Hello?"}]}
        accept = f"Accept: {'text/event-stream' if mode == 'sse' else '*/*'}"
        name = f"X-Request-ID: {uuid.uuid4().hex}"
        seen = self.ask("POST", f"/api/chat/{provider}", json.dumps(body).encode(), user, accept, name)
        self.told[-1] = (f"{provider} with {model!r}", bytes(seen.raw))
        return seen

    def put(self, name: str, value: object, user: str = OWNER) -> Seen:
        """Set a setting."""
        return self.ask("PUT", f"/api/profile/settings/{name}", json.dumps({"value": value}).encode(), user)

    def move_in(self, secrets: Mapping[str, Canary]) -> None:
        """Give the owner's profile its secrets."""
        assert self.put("azure_openai_endpoint", self.mirror.origin).status == 200
        for name, secret in secrets.items():
            assert self.put(name, secret.value).status == 200
        self.canaries.update(secrets)

    def add(self, name: str, prefix: str = "") -> str:
        """Make one more secret, and return its value."""
        self.canaries[name] = canary(name, prefix)
        return self.canaries[name].value

    def run(self, *arguments: str, said: str = "", **changes: str) -> subprocess.CompletedProcess[bytes]:
        """Run a command of the service's, in its environment with these changes; keep what it says."""
        settings = environment_without({**self.settings, **changes})
        line = [*command("flask --app wsgi"), *arguments]
        done = subprocess.run(line, cwd=ROOT, env=settings, input=said.encode(), capture_output=True, check=False)
        self.told += [(f"{arguments}", done.stdout), (f"{arguments}", done.stderr)]
        return done

    def leaks(self) -> list[str]:
        """Search what came out since the last time: of answers and commands, into the log, into files beside it.

        An organization is no secret to those who ask in its name: providers tell it in their errors.
        """
        told, self.told = self.told, []
        secrets = [secret for secret in self.canaries.values() if "organization" not in secret.name]
        kept = found_in_files(self.folder, self.canaries.values(), except_for=("log", self.key_file.name))
        new = [hit for hit in kept if hit not in self._known]
        self._known += new
        hits = [f"{what}: {hit}" for what, data in told for hit in found(data, secrets)]
        return hits + self._logged() + new

    def said(self) -> bytes:
        """Return all answers since the last search, and all of the log."""
        return b"\n".join(data for _, data in self.told) + self.service.log.read_bytes()

    def _logged(self) -> list[str]:
        with self.service.log.open("rb") as log:
            log.seek(self._read)
            data = log.read()
        self._read += len(data)
        return [f"log: {hit}" for hit in found(data, self.canaries.values())]

    @property
    def key_file(self) -> Path:
        """Where the vault of a house with SQLite has its key, which is a secret of its own."""
        return self.service.database.with_name(f"{self.service.database.name}.key")

    @property
    def folder(self) -> Path:
        """Where its log and its database are."""
        return self.service.log.parent


def start(processes: Processes, mirror: Mirror, **more: str) -> House:
    """Start a service with secrets in its environment."""
    secrets, proxy = environment_canaries(), canary("proxy's password")
    settings = {**environment(mirror, secrets, proxy), **more}
    service = processes.fresh_service(settings)
    settings = {"DATABASE_URL": f"sqlite:///{service.database}", **settings}
    return House(service, mirror, settings, {**secrets, "HTTPS_PROXY": proxy})


def login(token: str) -> Canary:
    """Take a token for a secret; of a JWT, the signature, because its header is everybody's."""
    return known("a token", token.removeprefix("sluice_").rpartition(".")[2])


@contextmanager
def again(house: House, processes: Processes, line: str = "", **changes: str) -> Iterator[House]:
    """Start the same house once more for a while, by another line, or with these changes."""
    settings = house.settings | changes
    service = processes.fresh_service(settings, line)
    try:
        yield House(service, house.mirror, settings, dict(house.canaries), dict(house.logins))
    finally:
        stop(service.process)
