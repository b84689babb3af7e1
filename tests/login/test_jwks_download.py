"""How a key set is fetched: before one deadline, bounded, never redirected, over TLS and proxies, after a fork."""

import gzip
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from itertools import count, repeat
from pathlib import Path
from time import monotonic, sleep

import pytest
import trustme
from jwt import PyJWKClientError

from app.login.jwks import Keys
from app.proxy import Proxy
from tests.far.peer import copy
from tests.far.scripts import full_listener
from tests.login.identity import Identity, Reply, answer, identity_provider, rsa_jwk, rsa_key
from tests.login.key_sets import NO_KEYS, PATIENT, QUICK, SOON, body, fetches, good, has, outage
from tests.processes import free_port, wait_for


def test_json_without_compression_is_asked_for(identity: Identity) -> None:
    seen: list[dict[str, str]] = []

    def reply(request: BaseHTTPRequestHandler) -> None:
        seen.append({name.lower(): value for name, value in request.headers.items()})
        identity.publish(request)

    identity.reply = reply
    assert has(Keys(identity.url + "?a=b"), "first")
    assert identity.requests == ["/jwks.json?a=b"]
    host = identity.url.split("/")[2]
    assert seen == [{"host": host, "accept": "application/json", "accept-encoding": "identity", "user-agent": "sluice"}]


# Before one deadline


def trickling(head: bytes, parts: Iterator[bytes]) -> Reply:
    """Send a part every 50 ms: far more often than any timeout of a socket."""

    def reply(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(head)
        for part in parts:
            request.wfile.write(part)
            sleep(0.05)

    return reply


SLOW = {
    "silence": lambda: trickling(b"", repeat(b"", 40)),
    "headers": lambda: trickling(b"HTTP/1.1 200 OK\r\n", (b"X-%d: x\r\n" % number for number in count())),
    "announcements": lambda: trickling(b"", repeat(b"HTTP/1.1 100 Continue\r\n\r\n")),
    "a body": lambda: trickling(b"HTTP/1.1 200 OK\r\n\r\n", repeat(b" ")),
}


@pytest.mark.parametrize("reply", SLOW.values(), ids=SLOW)
def test_a_slow_provider_is_given_up_at_the_deadline(identity: Identity, reply: Callable[[], Reply]) -> None:
    identity.reply = reply()
    started = monotonic()
    assert outage(Keys(identity.url, pace=QUICK)) == NO_KEYS
    assert QUICK.deadline <= monotonic() - started < SOON
    wait_for(lambda: fetches() == 0)


@contextmanager
def speechless_listener() -> Iterator[int]:
    """Take connections and say nothing, not even in a handshake."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize(("listening", "scheme"), [(full_listener, "http"), (speechless_listener, "https")])
def test_a_connection_that_is_never_made_is_given_up(
    listening: Callable[[], AbstractContextManager[int]], scheme: str
) -> None:
    with listening() as port:
        started = monotonic()
        assert outage(Keys(f"{scheme}://127.0.0.1:{port}/", pace=QUICK)) == NO_KEYS
        assert monotonic() - started < SOON
        wait_for(lambda: fetches() == 0)


# Only a set of keys


def test_no_redirect_is_followed(identity: Identity) -> None:
    with identity_provider() as other:
        other.published = identity.published
        for status in (301, 302, 303, 307, 308):
            identity.reply = body(b"", status, Location=other.url)
            assert outage(Keys(identity.url, pace=QUICK)) == NO_KEYS
        assert other.requests == []
    assert len(identity.requests) == 5


def endless(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        request.wfile.write(b" " * 65536)


NOT_A_SET = "the answer is not a JSON Web Key Set"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (body(good(), 500), "the answer has the status 500"),
        (body(good(), 203), "the answer has the status 203"),
        (body(b"<html>"), "JSONDecodeError"),
        (body(gzip.compress(good()), Content_Encoding="gzip"), "UnicodeDecodeError"),
        (body(b"[" * 200_000), "RecursionError"),
        (body(b"null"), NOT_A_SET),
        (body(b"[]"), NOT_A_SET),
        (body(b"{}"), NOT_A_SET),
        (body(b'{"keys": {}}'), NOT_A_SET),
        (body(b'{"keys": []}'), "The JWK Set did not contain any keys"),
        (body(b'{"keys": [1, null, "a", [], {}]}'), "The JWK Set did not contain any keys"),
        (body(good() + b" " * 256 * 1024), "the answer is too long"),
        (endless, "the answer is too long"),
        (lambda request: answer(request, good()[:-1], Content_Length="100000"), "JSONDecodeError"),
        (lambda request: request.wfile.write(b"garbage\r\n\r\n"), "BadStatusLine"),
        (lambda _: None, "RemoteDisconnected"),
    ],
)
def test_any_other_answer_is_refused_and_logged(
    identity: Identity, caplog: pytest.LogCaptureFixture, reply: Reply, reason: str
) -> None:
    identity.reply = reply
    assert outage(Keys(identity.url, pace=PATIENT)) == NO_KEYS
    assert [record.getMessage() for record in caplog.records if record.name == "app.login.jwks"] == [
        f"The keys of AUTH_JWKS_URL cannot be fetched ({reason}). Until they can, nobody can log in with them."
    ]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:{port}/?key=hidden", "ConnectionRefusedError"),
        ("http://sluice-test.invalid/?key=hidden", "gaierror"),
        ("http://user:hidden@127.0.0.1:{port}/", "ConnectionRefusedError"),
        ("http://a b/?key=hidden", "InvalidURL"),
    ],
)
def test_the_log_does_not_show_the_secrets_of_a_url(caplog: pytest.LogCaptureFixture, url: str, reason: str) -> None:
    assert outage(Keys(url.format(port=free_port()), pace=PATIENT)) == NO_KEYS
    assert reason in caplog.text
    assert "hidden" not in caplog.text


def test_only_http_and_https_are_fetched() -> None:
    for url in ("ftp://127.0.0.1/", "file:///etc/passwd", "data:,{}"):
        with pytest.raises(PyJWKClientError):
            Keys(url)


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


def test_the_certificate_must_name_the_host(authority: trustme.CA) -> None:
    with tls_provider(authority) as (_, port):
        assert has(Keys(f"https://localhost:{port}/"), "first")
        assert outage(Keys(f"https://127.0.0.1:{port}/")) == NO_KEYS
    with tls_provider(trustme.CA()) as (_, port):
        assert outage(Keys(f"https://localhost:{port}/")) == NO_KEYS


@pytest.mark.parametrize("credentials", ["", "us%40er:pass@", "us%40er@"])
def test_a_proxy_is_asked_for_a_tunnel(authority: trustme.CA, credentials: str) -> None:
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
        proxy = f"http://{credentials}127.0.0.1:{listener.getsockname()[1]}"
        with tls_provider(authority) as (_, port):
            assert has(Keys(f"https://localhost:{port}/", Proxy(proxy, "")), "first")
    head = asked[0].split(b"\r\n")
    assert head[0].startswith(b"CONNECT localhost:%d HTTP/1." % port)
    known = {"": b"", "us%40er:pass@": b"us@er:pass", "us%40er@": b"us@er:"}[credentials]
    shown = [line for line in head if line.startswith(b"Proxy-Authorization")]
    assert shown == ([b"Proxy-Authorization: Basic " + b64encode(known)] if known else [])
    assert len(asked) == 1


def test_a_host_of_no_proxy_is_asked_itself(authority: trustme.CA) -> None:
    closed = f"http://127.0.0.1:{free_port()}"
    with tls_provider(authority) as (_, port):
        assert has(Keys(f"https://localhost:{port}/", Proxy(closed, "localhost")), "first")
        assert outage(Keys(f"https://localhost:{port}/", Proxy(closed, ""))) == NO_KEYS


def test_proxies_of_the_environment_are_not_asked(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    assert has(Keys(identity.url), "first")
