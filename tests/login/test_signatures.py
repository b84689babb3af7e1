"""Who must have signed a token, with which algorithm: RFC 8725 and the attacks that it names."""

import json
from collections.abc import Callable

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.login.claims import Claims
from tests.login.identity import (
    SECRET,
    UNAUTHORIZED,
    Identity,
    Sign,
    b64,
    claims,
    ec_key,
    ecdsa,
    ed_key,
    eddsa,
    hs256,
    identity_provider,
    jws,
    ps256,
    rs256,
    rsa_jwk,
    rsa_key,
    token,
)
from tests.login.verifiers import signed, told, verifier, with_secret


def test_headers_that_hold_or_name_keys_are_ignored(both: Claims, identity: Identity) -> None:
    with identity_provider() as other:
        other.published = [rsa_jwk(rsa_key("attacker"), kid="rsa", alg="RS256")]
        pointing = {
            "alg": "RS256",
            "kid": "rsa",
            "jku": other.url,
            "x5u": other.url,
            "jwk": other.published[0],
            "x5c": ["MIIB"],
        }
        assert both.user(jws(pointing, claims(), rs256(rsa_key()))) == "alice"
        assert told(both, jws(pointing, claims(), rs256(rsa_key("attacker")))) == UNAUTHORIZED
        assert other.requests == []
    assert len(identity.requests) == 1


def test_a_mirrored_signature_is_valid_too(both: Claims) -> None:
    """Of an ECDSA signature (r, s) anybody can make (r, -s); it says nothing that was not signed."""
    good = token(ecdsa(ec_key()), "ES256", "ec")
    head, _, signature = good.rpartition(".")
    raw = jwt.utils.base64url_decode(signature)
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    mirrored = raw[:32] + (order - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    assert both.user(f"{head}.{b64(mirrored)}") == both.user(good) == "alice"


def unsigned(alg: object) -> str:
    return f"{b64(json.dumps({'alg': alg, 'typ': 'JWT'}).encode())}.{b64(json.dumps(claims()).encode())}."


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "none ", "", None, 0, False, [], ["none"], {}, "..."])
def test_a_token_without_a_signature_is_refused(both: Claims, alg: object) -> None:
    bare = unsigned(alg)
    for text in (bare, bare[:-1], bare + b64(b"x"), bare + b64(bytes(32))):
        assert told(both, text) == UNAUTHORIZED
    assert told(both, signed({"typ": "JWT"}, claims())) == UNAUTHORIZED


def public_forms() -> list[bytes]:
    """Every form in which somebody may have the provider's public key."""
    public = rsa_key().public_key()
    pem, der = Encoding.PEM, Encoding.DER
    jwk = rsa_jwk(rsa_key(), kid="rsa", use="sig", alg="RS256")
    return [
        *(public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo) for encoding in (pem, der)),
        *(public.public_bytes(encoding, PublicFormat.PKCS1) for encoding in (pem, der)),
        public.public_bytes(pem, PublicFormat.SubjectPublicKeyInfo).strip(),
        public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        *(json.dumps(form, separators=(",", ":")).encode() for form in (jwk, {"keys": [jwk]}, jwk["n"])),
        jwk["n"].encode(),
    ]


@pytest.mark.parametrize("number", range(10))
def test_a_public_key_is_not_a_secret(both: Claims, identity: Identity, number: int) -> None:
    sign = hs256(public_forms()[number])
    for only in (both, verifier(auth_jwks_url=identity.url)):
        for kid in ("rsa", None):
            assert told(only, token(sign, "HS256", kid)) == UNAUTHORIZED
            assert told(only, token(sign, "RS256", kid)) == UNAUTHORIZED


@pytest.mark.parametrize(
    ("sign", "alg", "kid"),
    [
        (lambda: rs256(rsa_key("attacker")), "RS256", "rsa"),
        (lambda: rs256(rsa_key()), "RS256", "ec"),
        (lambda: rs256(rsa_key()), "ES256", "rsa"),
        (lambda: rs256(rsa_key()), "RS512", "rsa"),
        (lambda: ps256(rsa_key()), "PS256", "rsa"),
        (lambda: ps256(rsa_key()), "RS256", "rsa"),
        (lambda: ecdsa(ec_key()), "EdDSA", "ec"),
        (lambda: ecdsa(ec_key()), "EdDSA", "ed"),
        (lambda: eddsa(ed_key()), "ES256", "ed"),
        (lambda: eddsa(ed_key()), "ES256", "ec"),
        (lambda: ecdsa(ec_key(ec.SECP384R1)), "ES256", "ec"),
        (lambda: ecdsa(ec_key(ec.SECP384R1), SHA384()), "ES384", "ec"),
        (lambda: ecdsa(ec_key(ec.SECP256K1)), "ES256", "ec"),
        (lambda: hs256(SECRET), "HS384", None),
        (lambda: hs256(SECRET), "HS512", None),
        (lambda: hs256(SECRET), "hs256", None),
        (lambda: hs256(SECRET), "RS256", "rsa"),
        (lambda: hs256(SECRET + " "), "HS256", None),
        (lambda: hs256(""), "HS256", None),
        (lambda: lambda _: b"", "HS256", None),
        (lambda: lambda _: b"", "ES256", "ec"),
        (lambda: lambda _: bytes(64), "ES256", "ec"),
        (lambda: lambda _: bytes(64), "EdDSA", "ed"),
        (lambda: lambda _: bytes(256), "RS256", "rsa"),
        (lambda: lambda data: rs256(rsa_key())(data)[:-1], "RS256", "rsa"),
        (lambda: lambda data: b"\0" + rs256(rsa_key())(data), "RS256", "rsa"),
        (lambda: lambda data: ecdsa(ec_key())(data) + b"\0", "ES256", "ec"),
        (lambda: lambda data: ec_key().sign(data, ec.ECDSA(SHA384())), "ES256", "ec"),
        (lambda: lambda data: eddsa(ed_key())(data)[:32], "EdDSA", "ed"),
    ],
)
def test_a_signature_by_another_key_or_algorithm_is_refused(
    both: Claims, sign: Callable[[], Sign], alg: str, kid: str | None
) -> None:
    assert told(both, token(sign(), alg, kid)) == UNAUTHORIZED


@pytest.mark.parametrize(
    "kid",
    [
        "../../../../dev/null",
        "/dev/null",
        "' OR '1'='1",
        "rsa' UNION SELECT 'x",
        "|id",
        "RSA",
        "rsa ",
        "rsa\0",
        "",
        "é",
    ],
)
def test_a_key_id_is_only_compared(both: Claims, kid: str) -> None:
    for sign in (rs256(rsa_key()), hs256(""), hs256(b"\0")):
        assert told(both, token(sign, "RS256", kid)) == UNAUTHORIZED
    assert told(both, token(hs256(""), "HS256", kid)) == UNAUTHORIZED


@pytest.mark.parametrize("kid", [1, True, None, ["rsa"], {"kid": "rsa"}])
def test_a_key_id_must_be_a_string(both: Claims, kid: object) -> None:
    assert told(both, jws({"alg": "RS256", "kid": kid}, claims(), rs256(rsa_key()))) == UNAUTHORIZED
    assert told(both, signed({"alg": "HS256", "kid": kid}, claims())) == UNAUTHORIZED


@pytest.mark.parametrize(
    "extension",
    [
        {"crit": ["b64"], "b64": False},
        {"crit": ["b64"], "b64": True},
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"crit": None},
        {"crit": "b64", "b64": False},
        {"b64": False},
        {"b64": True},
        {"b64": 0},
    ],
)
def test_an_extension_is_refused(extension: dict[str, object]) -> None:
    assert told(with_secret(), signed({"alg": "HS256", **extension}, claims())) == UNAUTHORIZED


def test_a_weak_secret_or_a_public_key_as_one_is_refused() -> None:
    pem = public_forms()[0].decode()
    for secret in ("short", "x" * 31, pem):
        weak = verifier(auth_jwt_secret=secret)
        assert told(weak, token(hs256(secret))) == UNAUTHORIZED


def test_a_weak_published_key_is_not_used(identity: Identity) -> None:
    weak = rsa_key("weak", 1024)
    identity.published.append(rsa_jwk(weak, kid="weak"))
    assert told(verifier(auth_jwks_url=identity.url), token(rs256(weak), "RS256", "weak")) == UNAUTHORIZED


def test_each_login_takes_only_its_own_algorithms(identity: Identity) -> None:
    keyed = verifier(auth_jwks_url=identity.url)
    assert told(keyed, token()) == UNAUTHORIZED
    assert told(keyed, token(hs256(""))) == UNAUTHORIZED
    assert identity.requests == []
    assert keyed.user(token(rs256(rsa_key()), "RS256", "first")) == "alice"
    assert told(with_secret(), token(rs256(rsa_key()), "RS256", "first")) == UNAUTHORIZED


def test_without_keys_a_token_gets_a_503(identity: Identity) -> None:
    identity.reply = lambda request: request.send_error(500)
    status, code, _, headers = told(verifier(auth_jwks_url=identity.url), token(rs256(rsa_key()), "RS256", "rsa"))
    assert (status, code, headers) == (503, "auth_unavailable", {"Retry-After": "5"})
