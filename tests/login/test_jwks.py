"""The key set of an identity provider as a cache: fetched once, fetched again in time, and kept through an outage."""

import logging
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from types import SimpleNamespace

import pytest
from jwt import api_jwk, jwk_set_cache

from app.login import jwks
from app.login.jwks import Keys, Pace
from tests.login.identity import Identity, Jwk, rsa_jwk, rsa_key
from tests.login.key_sets import NO_KEYS, PATIENT, QUICK, SOON, body, fetches, has, outage
from tests.processes import wait_for

PACE = Pace()


class Clock:
    """The clock of the cache, ours and PyJWT's, which a test moves forward."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        patch.setattr(jwks, "monotonic", self.now)
        for module in (api_jwk, jwk_set_cache):
            patch.setattr(module, "time", SimpleNamespace(monotonic=self.now))

    def now(self) -> float:
        return monotonic() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [record for record in caplog.records if record.name == "app.login.jwks"]
    assert all(record.levelno == logging.WARNING for record in found)
    return [record.getMessage() for record in found]


def test_keys_are_fetched_at_the_first_use_and_only_once(identity: Identity) -> None:
    keys = Keys(identity.url)
    assert identity.requests == []
    assert fetches() == 0
    for _ in range(10):
        assert has(keys, "first")
    assert identity.requests == ["/jwks.json"]


def test_a_crowd_of_logins_causes_one_fetch(identity: Identity) -> None:
    identity.reply = identity.held(go_on := threading.Event())
    keys = Keys(identity.url, pace=PATIENT)
    with ThreadPoolExecutor(20) as pool:
        crowd = [pool.submit(has, keys, "first") for _ in range(20)]
        wait_for(lambda: identity.requests and all(login.running() for login in crowd))
        go_on.set()
        assert all(login.result() for login in crowd)
    assert len(identity.requests) == 1


def test_an_unknown_key_is_looked_for_once_a_cooldown(identity: Identity, clock: Clock) -> None:
    keys = Keys(identity.url)
    assert has(keys, "first")
    identity.published.append(rsa_jwk(rsa_key("second"), kid="second"))
    for number in range(100):
        assert not has(keys, f"random-{number}")
    assert len(identity.requests) == 1
    clock.ahead += PACE.cooldown
    assert has(keys, "second")
    assert not has(keys, "third")
    assert len(identity.requests) == 2


def test_unknown_keys_cause_one_fetch_and_delay_no_known(identity: Identity, clock: Clock) -> None:
    keys = Keys(identity.url, pace=PATIENT)
    assert has(keys, "first")
    clock.ahead += PATIENT.cooldown
    identity.reply = identity.held(go_on := threading.Event())
    with ThreadPoolExecutor(20) as pool:
        unknown = [pool.submit(has, keys, f"random-{number}") for number in range(20)]
        wait_for(lambda: len(identity.requests) == 2)
        assert has(keys, "first"), "the answer is still held back"
        wait_for(lambda: all(login.running() for login in unknown))
        go_on.set()
        assert not any(login.result() for login in unknown)
    assert len(identity.requests) == 2


def test_an_old_set_is_used_while_it_is_fetched_again(identity: Identity, clock: Clock) -> None:
    keys = Keys(identity.url, pace=PATIENT)
    assert has(keys, "first")
    clock.ahead += PATIENT.lifespan - 10
    assert has(keys, "first")
    assert len(identity.requests) == 1
    clock.ahead += 11
    identity.published = [rsa_jwk(rsa_key("second"), kid="second")]
    identity.reply = identity.held(go_on := threading.Event())
    assert has(keys, "first"), "the answer is still held back"
    go_on.set()
    wait_for(lambda: not has(keys, "first"))
    assert has(keys, "second")
    assert len(identity.requests) == 2


def test_a_set_outlasts_an_outage_that_is_logged_once(
    identity: Identity, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    keys = Keys(identity.url)
    assert has(keys, "first")
    identity.reply = body(b"down", 503)
    for number in range(2, 5):
        clock.ahead += PACE.lifespan + 1
        assert has(keys, "first")
        assert not has(keys, "second")
        assert len(identity.requests) == number
    begin = (
        "The keys of AUTH_JWKS_URL cannot be fetched (the answer has the status 503). "
        "Until they can, those fetched before are used."
    )
    assert lines(caplog) == [begin]
    identity.published.append(rsa_jwk(rsa_key("second"), kid="second"))
    identity.reply = identity.publish
    assert not has(keys, "second"), "not before the cooldown is over"
    clock.ahead += PACE.cooldown
    assert has(keys, "second")
    assert lines(caplog) == [begin, "The keys of AUTH_JWKS_URL can be fetched again."]


@pytest.mark.parametrize("published", [[], [{"kty": "oct", "k": "aaaa", "kid": "first"}], [{}]])
def test_a_set_without_a_usable_key_replaces_no_other(identity: Identity, clock: Clock, published: list[Jwk]) -> None:
    keys = Keys(identity.url)
    assert has(keys, "first")
    identity.published = published
    clock.ahead += PACE.cooldown
    assert not has(keys, "second")
    assert has(keys, "first")
    assert len(identity.requests) == 2


def test_without_a_set_one_login_in_a_while_waits(identity: Identity, clock: Clock) -> None:
    keys = Keys(identity.url)
    identity.reply = body(b"", 500)
    for number in range(1, 4):
        for _ in range(20):
            assert outage(keys) == NO_KEYS
        assert len(identity.requests) == number
        clock.ahead += PACE.retry
    identity.reply = identity.publish
    assert has(keys, "first")


class SlowLookUp:
    """Lets the next look-up of a name wait until it is released."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        look_up = socket.getaddrinfo
        self.found = threading.Event()

        def slow(*asked: object, **more: object) -> object:
            patch.setattr(socket, "getaddrinfo", look_up)
            self.found.wait()
            return look_up(*asked, **more)  # type: ignore[arg-type]

        patch.setattr(socket, "getaddrinfo", slow)

    def release(self) -> None:
        self.found.set()
        wait_for(lambda: fetches() == 0)


def test_a_slow_name_look_up_is_given_up_and_overtaken(
    identity: Identity, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No deadline reaches into the look-up of a name: when it ends at last, a later fetch has told how things are."""
    look_up, started = SlowLookUp(monkeypatch), monotonic()
    keys = Keys(identity.url.replace("127.0.0.1", "localhost"), pace=QUICK)
    assert outage(keys) == NO_KEYS
    assert monotonic() - started < SOON
    assert outage(keys) == NO_KEYS, "not looked up again before the cooldown is over"
    clock.ahead += QUICK.retry
    assert has(keys, "first")
    identity.reply = body(b"", 500)
    look_up.release()
    assert lines(caplog) == []
    assert has(keys, "first")


def test_without_another_thread_no_login_waits(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    keys = Keys(identity.url, pace=PATIENT._replace(retry=0))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert outage(keys) == NO_KEYS
    assert has(keys, "first")
