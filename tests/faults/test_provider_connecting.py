"""Providers that cannot be reached, and keys that cannot be sent: nothing of a chat leaves the house."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from tests.far import Far, scripts
from tests.far import Far as Server
from tests.faults import STALLED, expect
from tests.faults.conftest import assert_clean
from tests.faults.expect import Course
from tests.faults.sluice import CONNECT, SOON, Sluice, environment, start
from tests.processes import Processes
from tests.raw import KEY

GPT = {"AZURE_GPT_35_TURBO_NAME": "deployment"}
MODEL = "gpt-3.5-turbo"
"""The one name that Azure knows as well."""

TIMED_OUT = (CONNECT, CONNECT + 0.6)


@pytest.fixture(scope="module")
def refusing() -> Iterator[int]:
    """A port that refuses."""
    with scripts.closed_port() as port:
        yield port


@pytest.fixture(scope="module")
def black_hole() -> Iterator[int]:
    """A port that does not answer: the kernel drops every SYN."""
    with scripts.full_listener() as port:
        yield port


@pytest.fixture(scope="module")
def unreachable(processes: Processes, far: Far, refusing: int, black_hole: int) -> Iterator[Sluice]:
    """A service whose providers are not there, each in its own way."""
    changes = {
        "CONNECT_TIMEOUT_SECONDS": str(CONNECT),
        "OPENAI_BASE_URL": f"http://127.0.0.1:{refusing}/v1",
        "GROQ_BASE_URL": "http://nothing.invalid/v1",
        "MISTRAL_BASE_URL": f"http://{STALLED}/v1",
        "AZURE_OPENAI_ENDPOINT": f"http://127.0.0.1:{black_hole}",
    }
    yield from _calm(start(processes, far, environment(far, **GPT, **changes)))


@pytest.mark.parametrize(
    ("provider", "code", "attempts", "window"),
    [
        pytest.param("openai", "up_connect", 2, (0, SOON), id="U1-refused"),
        pytest.param("groq", "up_dns", 1, (0, SOON), id="U2-no-such-name"),
        pytest.param("mistral", "up_timeout", 1, TIMED_OUT, id="U2-look-up-stalls"),
        pytest.param("azure", "up_timeout", 1, TIMED_OUT, id="U3-no-answer-to-syn"),
    ],
)
def test_a_provider_that_cannot_be_reached_is_given_up(
    unreachable: Sluice, mode: str, provider: str, code: str, attempts: int, window: tuple[float, float]
) -> None:
    seen = unreachable.chat(MODEL, mode, provider)
    body = expect.refusal(unreachable, seen, 500, code, Course(None, attempts, 0, window))
    assert "127.0.0.1" not in body["message"]
    unreachable.assert_calm()


@pytest.fixture(scope="module")
def tls_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    """Servers whose certificates cannot be trusted, one whose handshake never ends, and the trusted authority."""
    ours, theirs = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(str(_authority(tmp_path_factory)))
    yesterday = datetime.now(UTC) - timedelta(days=1)
    certificates = {
        "openai": theirs.issue_cert("localhost"),
        "groq": ours.issue_cert("another.test"),
        "mistral": ours.issue_cert("localhost", not_after=yesterday),
    }
    servers = {name: Server(_context(certificate)) for name, certificate in certificates.items()} | {"azure": Server()}
    for server in servers.values():
        server.play(*[lambda peer: peer.wait()] * 3).__enter__()
    yield servers
    for server in servers.values():
        server.__exit__()


@pytest.fixture(scope="module")
def insecure(
    processes: Processes, far: Far, tls_servers: dict[str, Server], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sluice]:
    """A service that is to talk to them."""
    bases = {f"{name.upper()}_BASE_URL": f"https://localhost:{server.port}/v1" for name, server in tls_servers.items()}
    bases["AZURE_OPENAI_ENDPOINT"] = f"https://localhost:{tls_servers['azure'].port}"
    more = {"SSL_CERT_FILE": str(_authority(tmp_path_factory)), "CONNECT_TIMEOUT_SECONDS": str(CONNECT)}
    yield from _calm(start(processes, far, environment(far, **GPT, **bases, **more)))


@pytest.mark.parametrize(
    ("provider", "code", "window"),
    [
        pytest.param("openai", "up_tls", (0, SOON), id="U4-unknown-authority"),
        pytest.param("groq", "up_tls", (0, SOON), id="U4-another-name"),
        pytest.param("mistral", "up_tls", (0, SOON), id="U4-expired"),
        pytest.param("azure", "up_timeout", TIMED_OUT, id="U5-handshake-never-ends"),
    ],
)
def test_a_provider_that_cannot_be_trusted_hears_nothing(
    insecure: Sluice, tls_servers: dict[str, Server], mode: str, provider: str, code: str, window: tuple[float, float]
) -> None:
    server = tls_servers[provider]
    before = len(server.closed)
    seen = insecure.chat(MODEL, mode, provider)
    expect.refusal(insecure, seen, 500, code, Course(None, 1, 0, window))
    server.wait_closed(before)
    assert len(server.closed) == before + 1, "a second attempt, or one without TLS"
    assert server.requests() == []
    insecure.assert_calm()


@pytest.fixture(scope="module")
def unkeyed(processes: Processes, far: Far) -> Iterator[Sluice]:
    """A service whose keys are no keys."""
    keys = {
        "OPENAI_API_KEY": f"sk-{KEY}\nX-Injected: yes",
        "GROQ_API_KEY": f"sk-{KEY} and more",
        "MISTRAL_API_KEY": f"sk-{KEY}\N{LATIN SMALL LETTER E WITH ACUTE}",
        "AZURE_OPENAI_API_KEY": f"sk-{KEY}\x7f",
    }
    yield from _calm(start(processes, far, environment(far, **{**GPT, **keys, "AZURE_OPENAI_ENDPOINT": far.url})))


@pytest.mark.parametrize(
    "provider",
    [
        pytest.param("openai", id="U54-newline"),
        pytest.param("groq", id="U54-spaces"),
        pytest.param("mistral", id="U54-not-ascii"),
        pytest.param("azure", id="U54-control-character"),
    ],
)
def test_a_key_that_cannot_be_one_is_not_sent(unkeyed: Sluice, far: Far, mode: str, provider: str) -> None:
    before = far.connections
    seen = unkeyed.chat(MODEL, mode, provider)
    expect.refusal(unkeyed, seen, 400, "bad_key", Course(None, 0, 0))
    assert far.connections == before
    unkeyed.assert_calm()


def _calm(sluice: Sluice) -> Iterator[Sluice]:
    """Have the first question behind us, after which what is made once per process is there."""
    sluice.chat(MODEL)
    sluice.calm()
    yield sluice
    assert_clean(sluice)


def _authority(factory: pytest.TempPathFactory) -> Path:
    return factory.getbasetemp() / "authority.pem"


def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context
