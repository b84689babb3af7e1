"""An identity provider on loopback: it signs, publishes its keys, counts who fetches them, and misbehaves."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from time import time
from types import MappingProxyType
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.failure import Failure

ISSUER = "https://login.example/auth/v1"
AUDIENCE = "authenticated"
SECRET = "a secret that only the identity provider knows"

Jwk = dict[str, Any]
Sign = Callable[[bytes], bytes]
Reply = Callable[[BaseHTTPRequestHandler], None]


@cache
def rsa_key(name: str = "", bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return the key of a name; made once, because it takes long."""
    return rsa.generate_private_key(65537, bits)


@cache
def ec_key(curve: type[ec.EllipticCurve] = ec.SECP256R1) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve())


@cache
def ed_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def hs256(secret: str | bytes) -> Sign:
    key = secret.encode() if isinstance(secret, str) else secret
    return lambda data: hmac.digest(key, data, hashlib.sha256)


def rs256(key: rsa.RSAPrivateKey) -> Sign:
    return lambda data: key.sign(data, padding.PKCS1v15(), SHA256())


def ps256(key: rsa.RSAPrivateKey) -> Sign:
    return lambda data: key.sign(data, padding.PSS(padding.MGF1(SHA256()), 32), SHA256())


def ecdsa(key: ec.EllipticCurvePrivateKey, digest: HashAlgorithm | None = None) -> Sign:
    size = (key.key_size + 7) // 8

    def sign(data: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(digest or SHA256())))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    return sign


def eddsa(key: ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey) -> Sign:
    return key.sign


def b64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def rsa_jwk(key: rsa.RSAPrivateKey, **more: object) -> Jwk:
    public = key.public_key().public_numbers()
    return {"kty": "RSA", "n": _number(public.n), "e": _number(public.e), **more}


def ec_jwk(key: ec.EllipticCurvePrivateKey, curve: str = "P-256", **more: object) -> Jwk:
    public, size = key.public_key().public_numbers(), (key.key_size + 7) // 8
    x, y = b64(public.x.to_bytes(size, "big")), b64(public.y.to_bytes(size, "big"))
    return {"kty": "EC", "crv": curve, "x": x, "y": y, **more}


def ed_jwk(key: ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey, curve: str = "Ed25519", **more: object) -> Jwk:
    x = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {"kty": "OKP", "crv": curve, "x": b64(x), **more}


def claims(**changes: object) -> dict[str, Any]:
    """Return the claims of a good token, changed; `...` leaves one out."""
    now = int(time())
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": now + 3600, "iat": now, "role": "authenticated"}
    return {name: value for name, value in (good | changes).items() if value is not ...}


def jws(header: object, payload: object, sign: Sign) -> str:
    """Sign: a header and a payload as they are if they are bytes, else as JSON (RFC 7515, section 7.1)."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    signed = ".".join(map(b64, parts))
    return f"{signed}.{b64(sign(signed.encode()))}"


def token(
    sign: Sign | None = None,
    alg: str = "HS256",
    kid: str | None = None,
    changed: Mapping[str, object] = MappingProxyType({}),
    **more: object,
) -> str:
    """Return a good token, by default under the secret, with some claims changed."""
    header = {"alg": alg, "typ": "JWT"} | ({"kid": kid} if kid is not None else {})
    return jws(header, claims(**changed, **more), sign or hs256(SECRET))


def refusal(ask: Callable[[], object]) -> tuple[int, str, str, dict[str, str]]:
    """Return everything that a client is told when this fails."""
    with pytest.raises(Failure) as failure:
        ask()
    return failure.value.status, failure.value.code, failure.value.message, dict(failure.value.headers)


UNAUTHORIZED = (401, "unauth", "User not found", {"WWW-Authenticate": "Bearer"})


class Identity:
    """The provider: what it publishes can change, and how it answers can, too."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.published: list[Jwk] = []
        self.reply: Reply = self.publish
        self.requests: list[str] = []
        self.stopped = Event()

    def publish(self, request: BaseHTTPRequestHandler) -> None:
        """Answer as it should be."""
        answer(request, json.dumps({"keys": self.published}).encode())

    def late(self, seconds: float) -> Reply:
        """Answer as it should be, but late."""

        def reply(request: BaseHTTPRequestHandler) -> None:
            self.stopped.wait(seconds)
            self.publish(request)

        return reply

    def held(self, go_on: Event) -> Reply:
        """Answer as it should be, when told to go on."""

        def reply(request: BaseHTTPRequestHandler) -> None:
            go_on.wait()
            self.publish(request)

        return reply


def answer(request: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    request.send_response(status)
    for name, value in ({"Content-Length": str(len(body))} | headers).items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(body)


@contextmanager
def identity_provider() -> Iterator[Identity]:
    """Run one."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            identity.requests.append(self.path)
            with suppress(ConnectionError):  # who asked has given up
                identity.reply(self)

        def log_message(self, *_: object) -> None:
            """Leave the tests' output alone."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        identity = Identity(f"http://127.0.0.1:{server.server_port}/jwks.json")
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield identity
        finally:
            identity.stopped.set()
            server.shutdown()
            thread.join()
