"""Providers that do not take a request as it is sent: nobody else waits for them, and what they say is passed on."""

import json
import ssl
from collections.abc import Callable, Iterator
from threading import Event

import pytest
import trustme

from tests.far import SECONDS, Far, Peer, Script
from tests.far import Far as Server
from tests.far.scripts import ANSWER, DONE, UNFRAMED, delta, ok, stop, whole
from tests.faults import expect
from tests.faults.conftest import assert_clean
from tests.faults.expect import Course
from tests.faults.sluice import Sluice, environment, start
from tests.machine import slack
from tests.processes import Processes

LARGE = "x" * 9 * 1024**2
"""A prompt that is more than the kernel takes for somebody who does not read."""

COMMIT = 4.0
"""Seconds in which a provider must take a request: nine megabytes, at the speed of whatever machine."""

UNTIL_COMMIT = (0, COMMIT + 1)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def secured(authority: trustme.CA) -> Iterator[Server]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    with Server(context) as running:
        yield running


@pytest.fixture(scope="module")
def plain() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture(scope="module")
def loaded(
    processes: Processes,
    far: Far,
    authority: trustme.CA,
    secured: Server,
    plain: Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Sluice]:
    """A service that has much to say to them."""
    trusted = tmp_path_factory.mktemp("taking") / "authority.pem"
    authority.cert_pem.write_to_path(str(trusted))
    changes = {
        "OPENAI_BASE_URL": f"https://localhost:{secured.port}/v1",
        "GROQ_BASE_URL": plain.url,
        "SSL_CERT_FILE": str(trusted),
        "COMMIT_SECONDS": str(COMMIT),
    }
    started = start(processes, far, environment(far, **changes))
    started.chat(far.script("warm before the load", ok), provider="mistral")
    started.calm()
    yield started
    assert_clean(started)


def play(server: Server, script: Script) -> None:
    """Have the next connection be this."""
    server.play(*[script] * (len(server.closed) + 1))


def test_u6_a_provider_that_reads_nothing_over_tls_is_given_up_and_nobody_waits_for_that(
    loaded: Sluice, secured: Server, model: str
) -> None:
    """A socket that takes nothing must be waited for, not asked again and again."""
    play(secured, lambda peer: peer.stop_reading(SECONDS))
    with loaded.pulse() as beats:
        seen = loaded.chat(model, prompt=LARGE)
    expect.refusal(loaded, seen, 500, "up_timeout", Course(None, 1, 0, (COMMIT, COMMIT + 1)))
    assert max(beats) < 750 * slack()
    loaded.assert_calm()


def test_u6_a_provider_that_reads_late_over_tls_is_sent_every_byte(loaded: Sluice, secured: Server, model: str) -> None:
    begun, go_on = Event(), Event()

    def script(peer: Peer) -> None:
        peer.first()
        begun.set()
        assert go_on.wait(SECONDS)
        peer.request()
        peer.send(UNFRAMED, delta() + stop() + DONE)  # a connection that could be kept is left open

    play(secured, script)
    call = loaded.start(model, prompt=LARGE)
    assert begun.wait(SECONDS)
    for _ in range(20):
        loaded.healthz_ms()
    go_on.set()
    expect.answer(loaded, call.finish(), ANSWER, Course(asked=0, window=UNTIL_COMMIT))
    sent = json.loads(secured.requests()[-1].partition(b"\r\n\r\n")[2])
    assert sent["messages"][-1]["content"] == LARGE
    loaded.assert_calm()


def hold(peer: Peer) -> None:
    peer.stop_reading(SECONDS)


@pytest.mark.parametrize(
    "then", [pytest.param(hold, id="U38-and-stays"), pytest.param(Peer.close, id="U38-and-closes")]
)
@pytest.mark.parametrize("provider", ["groq", "openai"], ids=["plain", "over TLS"])
def test_a_refusal_before_the_request_is_whole_is_passed_on(
    loaded: Sluice, plain: Server, secured: Server, model: str, provider: str, then: Callable[[Peer], None]
) -> None:
    """Whether the provider closes or only stops to read: it has said why."""

    def script(peer: Peer) -> None:
        peer.head()
        peer.send(whole(b'{"error": {"message": "That is too much."}}', b"HTTP/1.1 413 No\r\n"))
        then(peer)

    play({"groq": plain, "openai": secured}[provider], script)
    seen = loaded.chat(model, "text", provider, prompt=LARGE)
    shown = expect.refusal(loaded, seen, 413, "provider_too_large", Course(413, 1, 0, UNTIL_COMMIT))
    assert shown["message"] == "That is too much."
    loaded.assert_calm()
