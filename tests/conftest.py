"""The service and the provider that tests talk to: real processes on real sockets, started once and shared."""

import gc
import json
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import coverage
import pytest
from xdist.scheduler import LoadScopeScheduling

import app.upstream.sdk  # noqa: F401 - here, and not at the first chat of a test that measures time
from app.providers import PROVIDERS
from tests import servers
from tests.machine import slack
from tests.mounting import installed
from tests.mounting.installed import Environment
from tests.processes import OF_PROVIDERS, ROOT, Processes, Service, Simulator, opened
from tests.servers import Server

FOREIGN = {
    # What the SDK would send to any provider if it were let: none of it may ever arrive.
    "OPENAI_ORG_ID": "org-foreign",
    "OPENAI_PROJECT_ID": "proj-foreign",
    "OPENAI_ADMIN_KEY": "sk-foreign-admin",
    "OPENAI_CUSTOM_HEADERS": "X-Foreign: yes\nAuthorization: Bearer sk-foreign-custom\napi-key: sk-foreign",
}

OURS = {
    # What the tests look for where it has to arrive.
    "OPENAI_API_KEY": "sk-openai-canary-1",
    "OPENAI_ORGANIZATION_ID": "org-ours",
    "GROQ_API_KEY": "gsk_groq-canary-2",
    "MISTRAL_API_KEY": "mistral-canary-3",
    "AZURE_OPENAI_API_KEY": "azure-canary-4",
    "AZURE_GPT_35_TURBO_NAME": "deployment-35",
    "AZURE_GPT_45_TURBO_NAME": "deployment-45",
    "AZURE_GPT_45_VISION_NAME": "deployment-vision",
}

MODELS = (
    *(f"demo{fault}" for fault in ("", "@emoji", "@bytewise", "@emoji@bytewise", "@crlf", "@reasoning", "@length")),
    *(f"demo@{fault}" for fault in ("stall-3", "cut-3", "reset-3", "truncated-3", "error-3", "badjson-3", "badutf8-3")),
    *(f"demo@{fault}" for fault in ("cut-0", "reset-0", "truncated-0", "error-0", "badjson-0", "html", "empty")),
    *(f"demo@status-{status}" for status in (400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529)),
    *(f"demo@{fault}" for fault in ("status-429@retry-7", "status-503@html", "status-500@empty", "quota", "context")),
    *(f"demo@{fault}" for fault in ("filter-prompt", "filtered", "echo-key", "redirect", "silent", "hang", "comments")),
    *(f"demo@{fault}" for fault in ("endless", "pace-60@events-8", "late-1.5", "slow-1.5", "late-1.5@status-429")),
    *("demo@nodone", "demo@events-0@filtered", "unknown-model", "o3", "gpt-5.1"),
)
"""Every model that the tests ask all providers for; Azure knows none that is not named to it."""


SLOWEST = (
    "test_mounting.py", "canaries", "page", "store", "test_deployment.py", "properties", "hosts", "routes", "providers",
    "contract", "limits", "login", "bench", "mounting",
)  # fmt: skip
"""What takes longest, the longest first: pytest-xdist begins with it, so that its workers end together."""

TOGETHER = {"canaries", "contract", "login", "page", "providers", "routes", "store"}
"""Folders whose tests share services: one worker runs them all, and starts each service once."""


MEASURED = {
    "faults", "providers", "routes", "simulator", "store", "test_boot.py", "test_mounting.py", "test_servers.py",
}  # fmt: skip
"""Where coverage measures also what a test starts, which then takes half as long again: it runs lines of its own.

A service that several folders share is measured if it was started in one of these."""


def place(nodeid: str) -> str:
    """Return where a test belongs: the first folder or file of its path below `tests`."""
    return nodeid.partition("::")[0].split("/")[1]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Choose whether coverage, if it is on, measures what the test starts; as setup.cfg says, also in greenlets."""
    os.environ.pop("COVERAGE_PROCESS_CONFIG", "")
    os.environ.pop("COVERAGE_PROCESS_START", "")
    if coverage.Coverage.current() and place(item.nodeid) in MEASURED:
        os.environ["COVERAGE_PROCESS_START"] = str(ROOT / "setup.cfg")
        os.environ["COVERAGE_FILE"] = str(ROOT / ".coverage")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items.sort(key=lambda item: [*SLOWEST, place(item.nodeid)].index(place(item.nodeid)))


class Grouped(LoadScopeScheduling):  # type: ignore[misc]
    """Gives one worker of pytest-xdist a whole file, or a whole folder.

    With pytest 9.2, marks of `xdist_group` do nothing: https://github.com/pytest-dev/pytest-xdist/issues/1386.
    """

    def _split_scope(self, nodeid: str) -> str:
        return place(nodeid) if place(nodeid) in TOGETHER else nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Grouped | None:
    """Choose that for `--dist=loadgroup`."""
    return Grouped(config, log) if config.getvalue("dist") == "loadgroup" else None


def pytest_configure() -> None:
    """Let SIGTERM end the tests as Ctrl-C does, also in the background: what they have started ends with them."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)


@pytest.fixture(scope="session")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """What starts services, and stops them all at the end."""
    with Processes(tmp_path_factory.mktemp("processes")) as running:
        yield running


@pytest.fixture(scope="session")
def simulator(processes: Processes) -> Simulator:
    return processes.simulator()


@pytest.fixture(scope="session")
def environment(simulator: Simulator) -> Mapping[str, str]:
    """An environment in which every provider is the simulator, with a key for each."""
    simulated = {name: value for settings in simulator.settings.values() for name, value in settings.items()}
    keys = {provider.key.variable: f"{provider.name}-canary-0" for provider in PROVIDERS.values()}
    deployments = {"AZURE_OPENAI_DEPLOYMENTS": json.dumps({model: model for model in MODELS})}
    return {**FOREIGN, **simulated, **keys, **OURS, **deployments}


@pytest.fixture(scope="session")
def service(processes: Processes, environment: Mapping[str, str]) -> Service:
    """The service as it is deployed."""
    return processes.service(environment)


@pytest.fixture(scope="session")
def service_with_wrong_key(processes: Processes, environment: Mapping[str, str]) -> Service:
    """The service with keys that no provider takes."""
    keys = {name: "wrong-key" for name in environment if name.endswith("_API_KEY")}
    return processes.service({**environment, **keys})


@pytest.fixture
def settings_path(tmp_path: Path) -> Iterator[Path]:
    """A fresh folder for a database, in an environment without a provider's settings."""
    known = [name for name in os.environ if name.startswith((*OF_PROVIDERS, "DATABASE_"))]
    with pytest.MonkeyPatch.context() as patch:
        for name in known:
            patch.delenv(name)
        patch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/sluice.db")
        yield tmp_path


@pytest.fixture(scope="session")
def quick(processes: Processes, environment: Mapping[str, str]) -> Service:
    """The service, sending its headers after half a second without an answer."""
    return processes.service({**environment, "COMMIT_SECONDS": "0.5", "HEARTBEAT_SECONDS": "0.3"})


@pytest.fixture(scope="session")
def impatient(processes: Processes, environment: Mapping[str, str]) -> Service:
    """The service, giving a provider up after less than a second."""
    return processes.service({**environment, "FIRST_EVENT_TIMEOUT_SECONDS": "0.6", "IDLE_TIMEOUT_SECONDS": "0.5"})


@pytest.fixture(scope="session")
def from_wheel(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with Sluice installed from its wheel, as `sluice`."""
    folder = tmp_path_factory.mktemp("installed")
    return installed.environment(folder / "environment", "--no-deps", installed.wheel(folder))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """PostgreSQL. Who stops or pauses it does so with `stopped` or `paused`."""
    with servers.postgres() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Server]:
    """Redis. Who stops or pauses it does so with `stopped` or `paused`."""
    with servers.redis_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Server) -> Iterator[str]:
    """An empty database in PostgreSQL."""
    with servers.database(postgres) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind that the service keeps profiles in."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/sluice.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(scope="session")
def redis_urls(redis_server: Server) -> Iterator[str]:
    """Every database of Redis, each once."""
    return (f"{redis_server.url}/{number}" for number in range(1000))


@pytest.fixture
def redis_url(redis_server: Server, redis_urls: Iterator[str]) -> str:
    """An empty database in Redis."""
    redis_server.start()
    return next(redis_urls)


@pytest.fixture
def _no_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    """Know no authority for certificates: to read those of the system takes 20 ms for each pool of connections."""
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)


@pytest.fixture
def _no_leak() -> Iterator[None]:
    """See that as many descriptors are open after a test as before, without help of the garbage collector."""
    slack()  # opens what stays open
    before = _descriptors()
    gc.disable()
    try:
        yield
        assert _descriptors() == before
    finally:
        gc.enable()


def _descriptors() -> list[str]:
    """Name what this process has open; sockets are counted, since each has its own number."""
    return sorted(name.partition(":[")[0] for name in opened("self"))
