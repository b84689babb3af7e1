"""The keys of an identity provider: fetched once, in time, and kept; and only those that can be trusted."""

import gzip
import json
import logging
import os
import socket
import ssl
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from itertools import count
from pathlib import Path
from time import monotonic, sleep

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec, ed448, x448, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from app.login.jwks import Keys, Pace, Way
from tests.login.identity import (
    Identity,
    Jwk,
    Reply,
    answer,
    b64,
    ec_jwk,
    ec_key,
    ed_jwk,
    ed_key,
    identity_provider,
    refusal,
    rsa_jwk,
    rsa_key,
)
from tests.processes import ROOT, free_port, wait_for
from tests.upstream.server import copy, full_listener

FOR_EVER = 3600.0
QUICK = Pace(deadline=0.5, fresh=FOR_EVER, pause=FOR_EVER, retry=0.5)
NO_KEYS = (503, "auth_unavailable", "Logins cannot be checked at the moment. Please try again.", {"Retry-After": "5"})
SOON = 3.0
"""What is far more than any deadline here, and far less than a test may take."""


@pytest.fixture
def identity() -> Iterator[Identity]:
    with identity_provider() as running:
        running.published = [rsa_jwk(rsa_key(), kid="first")]
        yield running


def has(keys: Keys, kid: str | None, algorithm: str = "RS256") -> bool:
    return keys.find(kid, algorithm) is not None


def fetches() -> int:
    return sum(thread.name.endswith("(_run)") for thread in threading.enumerate())


# Once


def test_nothing_is_fetched_before_the_first_use_and_then_only_once(identity: Identity) -> None:
    keys = Keys(identity.url)
    assert identity.requests == []
    assert fetches() == 0
    for _ in range(10):
        assert has(keys, "first")
    assert identity.requests == ["/jwks.json"]


def test_many_at_once_cause_one_fetch(identity: Identity) -> None:
    identity.reply = identity.late(0.2)
    keys = Keys(identity.url)
    with ThreadPoolExecutor(20) as pool:
        assert all(pool.map(lambda _: has(keys, "first"), range(20)))
    assert len(identity.requests) == 1


def test_the_address_is_asked_for_json_without_a_compression(identity: Identity) -> None:
    seen: list[dict[str, str]] = []

    def reply(request: BaseHTTPRequestHandler) -> None:
        seen.append({name.lower(): value for name, value in request.headers.items()})
        identity.publish(request)

    identity.reply = reply
    assert has(Keys(identity.url + "?a=b"), "first")
    assert identity.requests == ["/jwks.json?a=b"]
    host = identity.url.split("/")[2]
    assert seen == [{"host": host, "accept": "application/json", "accept-encoding": "identity", "user-agent": "sluice"}]


# In time


def trickle(request: BaseHTTPRequestHandler, parts: Iterator[bytes]) -> None:
    for part in parts:
        request.wfile.write(part)
        sleep(0.05)


def silent(request: BaseHTTPRequestHandler) -> None:
    trickle(request, (b"" for _ in range(40)))


def trickling_head(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\n")
    trickle(request, (b"X-%d: x\r\n" % number for number in count()))


def trickling_announcements(request: BaseHTTPRequestHandler) -> None:
    trickle(request, (b"HTTP/1.1 100 Continue\r\n\r\n" for _ in count()))


def trickling_body(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    trickle(request, (b" " for _ in count()))


@pytest.mark.parametrize("reply", [silent, trickling_head, trickling_announcements, trickling_body])
def test_a_provider_that_takes_its_time_is_given_up(identity: Identity, reply: Reply) -> None:
    identity.reply = reply
    started = monotonic()
    assert refusal(lambda: Keys(identity.url, QUICK).find("first", "RS256")) == NO_KEYS
    assert QUICK.deadline <= monotonic() - started < SOON
    wait_for(lambda: fetches() == 0)


def test_a_provider_that_takes_no_connection_is_given_up() -> None:
    with full_listener() as port:
        started = monotonic()
        assert refusal(lambda: Keys(f"http://127.0.0.1:{port}/", QUICK).find("first", "RS256")) == NO_KEYS
        assert monotonic() - started < SOON
        wait_for(lambda: fetches() == 0)


# Only what is a set of keys


def elsewhere(url: str, status: int) -> Reply:
    return lambda request: answer(request, b"", status, Location=url)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(identity: Identity, status: int) -> None:
    with identity_provider() as other:
        other.published = identity.published
        identity.reply = elsewhere(other.url, status)
        assert refusal(lambda: Keys(identity.url, QUICK).find("first", "RS256")) == NO_KEYS
        assert other.requests == []
    assert len(identity.requests) == 1


def body(data: bytes, status: int = 200, **headers: str) -> Reply:
    return lambda request: answer(request, data, status, **headers)


def good() -> bytes:
    return json.dumps({"keys": [rsa_jwk(rsa_key(), kid="first")]}).encode()


def endless(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        request.wfile.write(b" " * 65536)


def cut(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + good())


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (body(good(), 500), "the answer has the status 500"),
        (body(good(), 404), "the answer has the status 404"),
        (body(good(), 203), "the answer has the status 203"),
        (body(good(), 401), "the answer has the status 401"),
        (body(b"", 204), "the answer has the status 204"),
        (body(b""), "JSONDecodeError"),
        (body(b"<html>"), "JSONDecodeError"),
        (body(b"\xff\xfe\xfd"), "UnicodeDecodeError"),
        (body(gzip.compress(good()), Content_Encoding="gzip"), "UnicodeDecodeError"),
        (body(b"[" * 200_000), "RecursionError"),
        (body(good()[:-1]), "JSONDecodeError"),
        (body(b"null"), "what came is no set of keys"),
        (body(b"[]"), "what came is no set of keys"),
        (body(b"{}"), "what came is no set of keys"),
        (body(b'{"keys": {}}'), "what came is no set of keys"),
        (body(b'{"keys": []}'), "none of its keys can be used"),
        (body(b'{"keys": [1, null, "a", [], {}]}'), "none of its keys can be used"),
        (body(good() + b" " * 256 * 1024), "the answer is too long"),
        (endless, "the answer is too long"),
        (cut, "RemoteProtocolError"),
        (lambda request: request.wfile.write(b"garbage\r\n\r\n"), "RemoteProtocolError"),
        (lambda _: None, "RemoteProtocolError"),
    ],
)
def test_anything_else_is_no_set_of_keys(
    identity: Identity, caplog: pytest.LogCaptureFixture, reply: Reply, reason: str
) -> None:
    identity.reply = reply
    assert refusal(lambda: Keys(identity.url, Pace()).find("first", "RS256")) == NO_KEYS
    assert [record.getMessage() for record in caplog.records if record.name == "app.login.jwks"] == [
        f"The keys of AUTH_JWKS_URL cannot be fetched ({reason}): until they can, nobody can log in with them."
    ]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:{port}/?key=hidden", "ConnectionRefusedError"),
        ("http://sluice-test.invalid/?key=hidden", "gaierror"),
        ("http://user:hidden@127.0.0.1:{port}/", "ConnectionRefusedError"),
        ("ftp://127.0.0.1/?key=hidden", "UnsupportedProtocol"),
        ("http://a b/?key=hidden", "gaierror"),
    ],
)
def test_an_address_that_cannot_be_reached_is_told_without_its_secrets(
    caplog: pytest.LogCaptureFixture, url: str, reason: str
) -> None:
    keys = Keys(url.format(port=free_port()), Pace(deadline=FOR_EVER))
    assert refusal(lambda: keys.find("first", "RS256")) == NO_KEYS
    assert reason in caplog.text
    assert "hidden" not in caplog.text


# Which keys


def okp(curve: str, public: x25519.X25519PublicKey | x448.X448PublicKey) -> Jwk:
    return {"kty": "OKP", "crv": curve, "x": b64(public.public_bytes(Encoding.Raw, PublicFormat.Raw)), "kid": "odd"}


OTHER_ALGORITHMS: list[object] = ["RS512", "PS256", "HS256", "none", "", None, 1, []]


def odd_keys() -> Iterator[Jwk]:
    """Yield keys with which nothing may be verified."""
    yield {"kty": "oct", "k": b64(b"k" * 32), "kid": "odd"}
    yield {"kty": "oct", "k": b64(b"k" * 32), "kid": "odd", "alg": "RS256"}
    yield rsa_jwk(rsa_key(), kid="odd", use="enc")
    yield rsa_jwk(rsa_key(), kid="odd", use=None)
    yield rsa_jwk(rsa_key(), kid="odd", key_ops=["encrypt"])
    yield rsa_jwk(rsa_key(), kid="odd", key_ops="verify")
    yield rsa_jwk(rsa_key(), kid="odd", key_ops=[])
    yield RSAAlgorithm.to_jwk(rsa_key(), as_dict=True) | {"kid": "odd", "key_ops": ["sign", "verify"]}
    yield ECAlgorithm.to_jwk(ec_key(), as_dict=True) | {"kid": "odd"}
    yield OKPAlgorithm.to_jwk(ed_key(), as_dict=True) | {"kid": "odd"}
    yield from (rsa_jwk(rsa_key(), kid="odd", alg=alg) for alg in OTHER_ALGORITHMS)
    yield rsa_jwk(rsa_key("weak", 1024), kid="odd")
    yield rsa_jwk(rsa_key(), kid="odd", crv="P-256")
    yield rsa_jwk(rsa_key(), kid="odd") | {"n": "!"}
    yield rsa_jwk(rsa_key(), kid="odd") | {"n": 7}
    yield rsa_jwk(rsa_key(), kid="odd") | {"n": ""}
    yield rsa_jwk(rsa_key(), kid="odd") | {"e": "AA"}
    yield {"kty": "RSA", "kid": "odd"}
    yield ec_jwk(ec_key(), kid="odd", alg="RS256")
    yield ec_jwk(ec_key(), kid="odd", alg="ES384")
    yield ec_jwk(ec_key(ec.SECP384R1), "P-384", kid="odd")
    yield ec_jwk(ec_key(ec.SECP384R1), "P-256", kid="odd")
    yield ec_jwk(ec_key(ec.SECP256K1), "secp256k1", kid="odd")
    yield ec_jwk(ec_key(ec.SECP256K1), "P-256", kid="odd")
    yield ec_jwk(ec_key(), kid="odd") | {"x": b64(bytes(32))}
    yield ec_jwk(ec_key(), kid="odd") | {"y": 1}
    yield {"kty": "EC", "crv": ["P-256"], "kid": "odd"}
    yield {"kty": {}, "kid": "odd"}
    yield ed_jwk(ed_key(), kid="odd") | {"x": b64(bytes(31))}
    yield ed_jwk(ed448.Ed448PrivateKey.generate(), "Ed448", kid="odd")
    yield okp("X25519", x25519.X25519PrivateKey.generate().public_key())
    yield okp("Ed25519", x448.X448PrivateKey.generate().public_key())


@pytest.mark.parametrize("odd", list(odd_keys()), ids=lambda jwk: str(jwk["kty"]))
def test_a_key_that_cannot_be_trusted_is_passed_over(identity: Identity, odd: Jwk) -> None:
    identity.published.insert(0, odd)
    keys = Keys(identity.url)
    for algorithm in ("RS256", "ES256", "EdDSA", "HS256", "RS512", "PS256", "ES384", "none"):
        assert not has(keys, "odd", algorithm)
    assert has(keys, "first")
    assert len(identity.requests) == 1


def test_a_key_is_for_one_algorithm(identity: Identity) -> None:
    identity.published = [rsa_jwk(rsa_key(), kid="one"), ec_jwk(ec_key(), kid="one"), ed_jwk(ed_key(), kid="two")]
    keys = Keys(identity.url)
    found = {(kid, alg) for kid in ("one", "two") for alg in ("RS256", "ES256", "EdDSA") if has(keys, kid, alg)}
    assert found == {("one", "RS256"), ("one", "ES256"), ("two", "EdDSA")}
    key = keys.find("one", "ES256")
    assert key is not None
    assert (key.key_type, key.algorithm_name) == ("EC", "ES256")


def test_a_token_without_a_key_id_has_the_only_key_that_fits(identity: Identity) -> None:
    identity.published = [ec_jwk(ec_key()), rsa_jwk(rsa_key(), kid="a"), rsa_jwk(rsa_key("other"), kid="b")]
    keys = Keys(identity.url)
    assert has(keys, None, "ES256")
    assert not has(keys, None, "RS256")
    assert not has(keys, None, "EdDSA")
    assert not has(keys, "a", "ES256")
    assert not has(keys, "", "ES256")


def test_of_two_keys_with_one_id_the_first_counts(identity: Identity) -> None:
    identity.published = [rsa_jwk(rsa_key(), kid="a"), rsa_jwk(rsa_key("other"), kid="a")]
    found = Keys(identity.url).find("a", "RS256")
    assert found is not None
    assert found.key.public_numbers() == rsa_key().public_key().public_numbers()


def test_only_the_first_hundred_keys_are_looked_at(identity: Identity) -> None:
    identity.published = [ed_jwk(ed_key(), kid=str(number)) for number in range(150)]
    keys = Keys(identity.url)
    assert has(keys, "99", "EdDSA")
    assert not has(keys, "100", "EdDSA")


# Fetched again


def test_an_unknown_key_is_looked_for_at_most_once_a_pause(identity: Identity) -> None:
    second, started = rsa_jwk(rsa_key("second"), kid="second"), monotonic()
    keys = Keys(identity.url, Pace(pause=1))
    assert has(keys, "first")
    identity.published.append(second)
    for number in range(100):
        assert not has(keys, f"random-{number}")
    assert len(identity.requests) == 1 or monotonic() - started > 1
    wait_for(lambda: has(keys, "second"))
    assert 2 <= len(identity.requests) <= 2 + (monotonic() - started)


def test_many_unknown_keys_at_once_cause_one_fetch_and_hold_up_nobody_else(identity: Identity) -> None:
    keys = Keys(identity.url, Pace(deadline=FOR_EVER, pause=0.05))
    assert has(keys, "first")
    sleep(0.06)
    identity.reply = identity.held(go_on := threading.Event())
    with ThreadPoolExecutor(20) as pool:
        unknown = [pool.submit(has, keys, f"random-{number}") for number in range(20)]
        wait_for(lambda: len(identity.requests) == 2)
        assert has(keys, "first"), "it would wait for ever"
        wait_for(lambda: all(future.running() for future in unknown))
        go_on.set()
        assert not any(future.result() for future in unknown)
    assert len(identity.requests) == 2


def test_old_keys_are_fetched_again_while_they_are_used(identity: Identity) -> None:
    keys = Keys(identity.url, Pace(deadline=FOR_EVER, fresh=0.1, pause=0.1))
    assert has(keys, "first")
    sleep(0.15)
    identity.published = [rsa_jwk(rsa_key("second"), kid="second")]
    identity.reply = identity.held(go_on := threading.Event())
    assert has(keys, "first"), "it would wait for ever"
    go_on.set()
    wait_for(lambda: not has(keys, "first"))
    assert has(keys, "second")


def test_fresh_keys_are_not_fetched_again(identity: Identity) -> None:
    keys = Keys(identity.url, Pace(fresh=FOR_EVER, pause=0))
    for _ in range(20):
        assert has(keys, "first")
        sleep(0.01)
    assert len(identity.requests) == 1


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert all(record.levelno == logging.WARNING for record in caplog.records if record.name == "app.login.jwks")
    return [record.getMessage() for record in caplog.records if record.name == "app.login.jwks"]


def test_keys_outlast_an_outage_which_is_told_once_as_is_its_end(
    identity: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    keys = Keys(identity.url, Pace(fresh=0, pause=0))
    assert has(keys, "first")
    identity.reply = body(b"down", 503)
    for _ in range(30):
        assert has(keys, "first")
        assert not has(keys, "second")
    assert len(identity.requests) > 3
    begin = (
        "The keys of AUTH_JWKS_URL cannot be fetched (the answer has the status 503): "
        "until they can, those of before are used."
    )
    assert lines(caplog) == [begin]
    identity.published.append(rsa_jwk(rsa_key("second"), kid="second"))
    identity.reply = identity.publish
    wait_for(lambda: has(keys, "second"))
    assert lines(caplog) == [begin, "The keys of AUTH_JWKS_URL can be fetched again."]
    for _ in range(5):
        assert has(keys, "first")
    assert len(lines(caplog)) == 2


@pytest.mark.parametrize("published", [[], [{"kty": "oct", "k": "aaaa", "kid": "first"}], [{}]])
def test_a_set_without_a_usable_key_replaces_nothing(identity: Identity, published: list[Jwk]) -> None:
    keys = Keys(identity.url, Pace(pause=0))
    assert has(keys, "first")
    identity.published = published
    assert not has(keys, "second")
    assert has(keys, "first")
    assert len(identity.requests) == 2


def test_without_keys_the_provider_is_asked_again_after_a_while_and_meanwhile_nobody_waits(identity: Identity) -> None:
    keys = Keys(identity.url, QUICK._replace(deadline=5, retry=3))
    identity.reply = body(b"", 500)
    for _ in range(20):
        assert refusal(lambda: keys.find("first", "RS256")) == NO_KEYS
    assert len(identity.requests) == 1
    identity.reply = identity.publish
    wait_for(lambda: refused(keys) is None)
    assert len(identity.requests) == 2


def refused(keys: Keys) -> object:
    with suppress(AssertionError, Exception):
        return None if has(keys, "first") else "unknown"
    return "unavailable"


class SlowLookUp:
    """Lets the next look-up of a name wait until it is released."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        look_up = socket.getaddrinfo
        self.found = threading.Event()

        def slow(*asked: object, **more: object) -> object:
            patch.setattr(socket, "getaddrinfo", look_up)
            self.found.wait(2 * SOON)
            return look_up(*asked, **more)  # type: ignore[arg-type]

        patch.setattr(socket, "getaddrinfo", slow)

    def release(self) -> None:
        self.found.set()
        wait_for(lambda: fetches() == 0)


def named(identity: Identity) -> str:
    """Return the provider's address with a name in it, which has to be looked up."""
    return identity.url.replace("127.0.0.1", "localhost")


def test_a_name_that_is_looked_up_for_long_is_given_up(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    look_up, started = SlowLookUp(monkeypatch), monotonic()
    assert refusal(lambda: Keys(named(identity), QUICK).find("first", "RS256")) == NO_KEYS
    assert monotonic() - started < SOON
    look_up.release()


def test_a_fetch_that_was_given_up_is_told_once_and_brings_nothing_late(
    identity: Identity, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No deadline reaches into the look-up of a name: when that comes back at last, newer keys may be there."""
    look_up, keys = SlowLookUp(monkeypatch), Keys(named(identity), Pace(deadline=0.3, retry=0))
    assert refusal(lambda: keys.find("first", "RS256")) == NO_KEYS
    wait_for(lambda: not refused(keys))
    look_up.release()
    wait_for(lambda: not refused(keys))
    assert [line.split(":")[0] for line in lines(caplog)] == [
        "The keys of AUTH_JWKS_URL cannot be fetched (TimeoutError)",
        "The keys of AUTH_JWKS_URL can be fetched again.",
    ]


def test_a_fetch_that_nobody_waits_for_is_given_up_too(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = Keys(named(identity), Pace(deadline=0.3, retry=0, fresh=0, pause=0))
    wait_for(lambda: not refused(keys))
    look_up = SlowLookUp(monkeypatch)
    wait_for(lambda: has(keys, "first") and len(identity.requests) > 1)
    look_up.release()


def test_without_a_thread_to_be_had_nobody_waits(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        keys = Keys(identity.url, Pace(deadline=FOR_EVER, retry=0))
        assert refusal(lambda: keys.find("first", "RS256")) == NO_KEYS
    assert has(keys, "first")


# TLS and proxies


@contextmanager
def tls_provider(authority: trustme.CA) -> Iterator[tuple[Identity, int]]:
    """Run a provider behind TLS, and return the port of that, too."""
    with identity_provider() as identity, socket.create_server(("127.0.0.1", 0)) as listener:
        identity.published = [rsa_jwk(rsa_key(), kid="first")]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        plain = int(identity.url.split(":")[2].split("/")[0])
        with serving(listener, lambda sock: relay(context.wrap_socket(sock, server_side=True), plain)):
            yield identity, int(listener.getsockname()[1])


@contextmanager
def serving(listener: socket.socket, serve: Callable[[socket.socket], None]) -> Iterator[None]:
    """Serve one connection after the other."""

    def run() -> None:
        with suppress(OSError):
            while True:
                sock, _ = listener.accept()
                with sock, suppress(OSError):
                    sock.settimeout(SOON)
                    serve(sock)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def relay(near: socket.socket, port: int) -> None:
    """Pass on one request, and its answer."""
    with near, socket.create_connection(("127.0.0.1", port)) as far:
        far.sendall(near.recv(65536))
        while data := far.recv(65536):
            near.sendall(data)


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """An authority that this process trusts."""
    found = trustme.CA()
    found.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    return found


def test_keys_come_over_tls_from_whom_the_certificate_names(authority: trustme.CA) -> None:
    with tls_provider(authority) as (_, port):
        assert has(Keys(f"https://localhost:{port}/"), "first")
        assert refusal(lambda: Keys(f"https://127.0.0.1:{port}/").find("first", "RS256")) == NO_KEYS
    with tls_provider(trustme.CA()) as (_, port):
        assert refusal(lambda: Keys(f"https://localhost:{port}/").find("first", "RS256")) == NO_KEYS


def test_a_handshake_that_never_ends_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        started = monotonic()
        keys = Keys(f"https://localhost:{listener.getsockname()[1]}/", QUICK)
        assert refusal(lambda: keys.find("first", "RS256")) == NO_KEYS
        assert monotonic() - started < SOON
        wait_for(lambda: fetches() == 0)


def test_the_proxy_is_used_for_tls_and_for_nothing_else(authority: trustme.CA, identity: Identity) -> None:
    asked: list[bytes] = []

    def connect(sock: socket.socket) -> None:
        asked.append(sock.recv(65536))
        port = int(asked[-1].split()[1].split(b":")[1])
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with socket.create_connection(("127.0.0.1", port)) as far:
            forth = threading.Thread(target=copy, args=(sock, far))
            forth.start()
            copy(far, sock)
            forth.join()

    with socket.create_server(("127.0.0.1", 0)) as listener, serving(listener, connect):
        proxy = f"http://us%40er:pass@127.0.0.1:{listener.getsockname()[1]}"
        with tls_provider(authority) as (_, port):
            assert has(Keys(f"https://localhost:{port}/", way=Way(proxy)), "first")
            assert len(asked) == 1
            assert asked[0].startswith(b"CONNECT localhost:%d HTTP/1.1\r\n" % port)
            assert b"Proxy-Authorization: Basic %b\r\n" % b64encode(b"us@er:pass") in asked[0]
            assert has(Keys(f"https://localhost:{port}/", way=Way(proxy, "localhost")), "first")
        assert has(Keys(identity.url, way=Way(proxy)), "first")
    assert len(asked) == 1


def test_the_environment_s_proxies_are_passed_over(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    assert has(Keys(identity.url), "first")


# Processes and greenlets


def run(script: str, *arguments: str) -> str:
    """Run a script in a process of its own, because it forks or patches."""
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


FORK = """
import os, sys
from app.login.jwks import Keys, Pace
keys = Keys(sys.argv[1], Pace())
children = []
for _ in range(2):
    child = os.fork()
    if not child:
        os._exit(0 if keys.find("first", "RS256") else 1)
    children.append(child)
print([os.waitpid(child, 0)[1] for child in children])
"""


def test_keys_that_were_made_before_a_fork_are_fetched_behind_it(identity: Identity) -> None:
    assert run(FORK, identity.url) == "[0, 0]\n"
    assert len(identity.requests) == 2


FORK_WITHIN = """
import os, sys, threading, time
from app.failure import Failure
from app.login.jwks import Keys, Pace
keys = Keys(sys.argv[1], Pace(deadline=3, retry=0))
fetching = threading.Thread(target=keys.find, args=("first", "RS256"))
fetching.start()
sys.stdin.readline()
child = os.fork()
if not child:
    try:
        keys.find("first", "RS256")
    except Failure as failure:
        assert failure.status == 503
    os._exit(0 if keys.find("first", "RS256") else 1)
print("forked", flush=True)
print(os.waitpid(child, 0)[1])
fetching.join()
"""


def test_a_fork_within_a_fetch_is_got_over(identity: Identity) -> None:
    command = [sys.executable, "-c", FORK_WITHIN, identity.url]
    identity.reply = identity.held(go_on := threading.Event())
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        wait_for(lambda: identity.requests)
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"fork now\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"forked\n"
        go_on.set()
        assert process.communicate()[0] == b"0\n"
    assert len(identity.requests) == 2


GREENLETS = """
from gevent import monkey
monkey.patch_all()
import sys, time
import gevent
from app.login.jwks import Keys, Pace
keys, ticks, running = Keys(sys.argv[1], Pace()), [], True

def tick():
    while running:
        ticks.append(time.monotonic())
        gevent.sleep(0.005)

ticking = gevent.spawn(tick)
asking = [gevent.spawn(keys.find, "first", "RS256") for _ in range(50)]
gevent.joinall(asking, raise_error=True)
running = False
ticking.join()
print(all(greenlet.value for greenlet in asking), len(ticks) > 20)
"""


def test_greenlets_wait_together_and_the_loop_goes_on(identity: Identity) -> None:
    identity.reply = identity.late(2)
    assert run(GREENLETS, identity.url) == "True True\n"
    assert len(identity.requests) == 1
