"""Tokens that the identity provider did not make, or not for us, or not for now: each is told the same as none."""

import json
import time
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.login.conftest import published
from tests.login.identity import (
    SECRET,
    Identity,
    b64,
    claims,
    ec_key,
    ecdsa,
    hs256,
    identity_provider,
    jws,
    ps256,
    rs256,
    rsa_jwk,
    rsa_key,
    token,
)
from tests.login.users import User, refusal, somebody
from tests.processes import Service

GOOD_HEADER = {"alg": "HS256", "typ": "JWT"}


def pem() -> bytes:
    """Return the provider's public key, as anybody can have it."""
    return rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def forged(**changes: object) -> str:
    """Sign a token with the secret, some of its header changed."""
    header = {name: value for name, value in (GOOD_HEADER | changes).items() if value is not ...}
    return jws(header, claims(), hs256(SECRET))


def unsigned(alg: str) -> str:
    return jws({"alg": alg}, claims(), lambda _: b"")


OWN = rsa_jwk(rsa_key("attacker"), kid="RS256")
STRANGER = rs256(rsa_key("attacker"))

FORGED = {
    "no signature": unsigned("none"),
    "no signature, in capitals": unsigned("None"),
    "no signature, in more capitals": unsigned("NONE"),
    "no signature, and no word of it": unsigned("HS256"),
    "no algorithm, and a signature": forged(alg="none"),
    "no algorithm at all": forged(alg=...),
    "an algorithm that is a list": forged(alg=["HS256"]),
    "another algorithm of the secret": forged(alg="HS512"),
    "an empty secret": token(hs256("")),
    "another secret": token(hs256("another secret of thirty-two bytes")),
    "the public key as a secret": token(hs256(pem()), kid="RS256"),
    "the public key as a secret, without its last line's end": token(hs256(pem().strip())),
    "the published key as a secret": token(hs256(json.dumps(published()[0]))),
    "another's key under a published name": token(STRANGER, "RS256", "RS256"),
    "another's key under no name": token(STRANGER, "RS256"),
    "another's key under an unknown name": token(STRANGER, "RS256", "unknown"),
    "another's key in the token": jws({"alg": "RS256", "jwk": OWN}, claims(), STRANGER),
    "another's key in the token, under a published name": jws(
        {"alg": "RS256", "kid": "RS256", "jwk": OWN}, claims(), STRANGER
    ),
    "another's certificate in the token": jws({"alg": "RS256", "x5c": ["MIIB"]}, claims(), STRANGER),
    "a file for a key": token(hs256(""), kid="../../../../dev/null"),
    "SQL for a key": token(STRANGER, "RS256", "x' UNION SELECT 'key' -- "),
    "a number for a key": jws({"alg": "RS256", "kid": 7}, claims(), STRANGER),
    "another algorithm of the key": token(ps256(rsa_key()), "PS256", "RS256"),
    "one key's name for another's algorithm": token(rs256(rsa_key()), "RS256", "ES256"),
    "one algorithm's name for another": token(rs256(rsa_key()), "ES256", "RS256"),
    "a key of two algorithms": token(ecdsa(ec_key()), "EdDSA", "ES256"),
    "an extension": forged(crit=["exp"]),
    "an extension that nobody knows": forged(crit=["http://example/pay"]),
    "a payload that is not encoded": forged(b64=False, crit=["b64"]),
    "another's payload": ".".join([*token().split(".")[:1], *token(sub="root").split(".")[1:2], token().split(".")[2]]),
    "a signature cut": token()[:-1],
    "a signature with more": token() + "AAAA",
    "no signature part": token().rpartition(".")[0],
    "an empty signature": token().rpartition(".")[0] + ".",
    "five parts": token() + ".e30.e30",
    "two tokens": f"{token()},{token()}",
    "JSON": json.dumps(dict(zip(("protected", "payload", "signature"), token().split("."), strict=True))),
    "dots": "..",
    "a header that is no object": jws([], claims(), hs256(SECRET)),
    "a header twice": jws(b'{"alg":"none","alg":"HS256"}', claims(), hs256(SECRET)),
    "a user twice": jws(GOOD_HEADER, json.dumps(claims())[:-1].encode() + b',"sub":"root"}', hs256(SECRET)),
    "a payload that is no object": jws(GOOD_HEADER, ["sub"], hs256(SECRET)),
    "a payload that is no JSON": jws(GOOD_HEADER, b"sub", hs256(SECRET)),
    "a payload without an end": jws(GOOD_HEADER, b"[" * 3000, hs256(SECRET)),
    "a payload that is not UTF-8": jws(GOOD_HEADER, b'{"sub":"\xff"}', hs256(SECRET)),
    "ended": token(exp=int(time.time()) - 3600),
    "ended just now": token(exp=int(time.time()) - 31),
    "never ending": token(exp=...),
    "an end that is no number": token(exp="tomorrow"),
    "an end that is text": token(exp="9999999999"),
    "an end that is true": token(exp=True),
    "an end that is null": token(exp=None),
    "an end beyond all": token(exp=float("inf")),
    "an end of four hundred digits": token(exp=10**400),
    "not yet": token(nbf=int(time.time()) + 3600),
    "made tomorrow": token(iat=int(time.time()) + 86400),
    "another issuer": token(iss="https://evil.example"),
    "an issuer with more": token(iss="https://login.example/auth/v1/"),
    "an issuer with less": token(iss="https://login.example"),
    "an issuer in capitals": token(iss="HTTPS://LOGIN.EXAMPLE/auth/v1"),
    "a list of issuers": token(iss=["https://login.example/auth/v1"]),
    "no issuer": token(iss=...),
    "another audience": token(aud="anon"),
    "other audiences": token(aud=["anon", "authenticated2"]),
    "an audience with more": token(aud="authenticated "),
    "a part of the audience": token(aud="auth"),
    "an audience that is an object": token(aud={"authenticated": True}),
    "no audience": token(aud=...),
    "audiences that are none": token(aud=[]),
    "no user": token(sub=...),
    "an empty user": token(sub=""),
    "spaces for a user": token(sub="  "),
    "a user that is a number": token(sub=7),
    "a user that is null": token(sub=None),
    "a list of users": token(sub=["alice"]),
    "a user of two lines": token(sub="alice\nroot"),
    "a user with a NUL": token(sub="alice\0"),
    "a user with an invisible mark": token(sub="alice\u200b"),
    "a user with half a character": token(sub="alice\ud800"),
    "this machine's own user": token(sub="local"),
    "a user with a name too long": token(sub="a" * 201),
}


@pytest.fixture(scope="module")
def evil() -> Iterator[Identity]:
    """An identity provider of the attacker's, where his key is published."""
    with identity_provider() as running:
        running.published = [OWN]
        yield running


@pytest.mark.parametrize("credential", FORGED.values(), ids=FORGED)
def test_a_forged_token_is_told_the_same_as_none(federated: Service, nobody: bytes, credential: str) -> None:
    assert refusal(federated, b"Authorization: Bearer " + credential.encode()) == nobody


@pytest.mark.parametrize("header", ["jku", "x5u", "iss"])
def test_a_token_does_not_say_where_its_key_is(federated: Service, nobody: bytes, evil: Identity, header: str) -> None:
    for kid in ("RS256", "unknown"):
        pointing = jws({"alg": "RS256", "kid": kid, header: evil.url}, claims(), STRANGER)
        assert refusal(federated, f"Authorization: Bearer {pointing}".encode()) == nobody
    assert evil.requests == []


def test_unknown_keys_do_not_make_the_service_fetch_without_end(federated: Service, issuer: Identity) -> None:
    somebody(federated).own()
    before = len(issuer.requests)
    for number in range(20):
        stranger = User(federated, "x", token(STRANGER, "RS256", f"unknown-{number}"))
        assert stranger.ask("/api/profile").status == 401
    assert len(issuer.requests) - before <= 1


def test_those_tokens_are_refused_for_what_they_say(federated: Service) -> None:
    """The same ones, but for that, are good: so it is not something else that is wrong with them."""
    assert somebody(federated, "alice").own() == {}
    good = (
        jws(GOOD_HEADER, claims(), hs256(SECRET)),
        token(rs256(rsa_key()), "RS256", "RS256"),
        token(exp=int(time.time()) - 20),
        token(aud=["anon", "authenticated"]),
        token(sub="a" * 200),
        token(note="a" * 5000),
    )
    for credential in good:
        assert User(federated, "", credential).ask("/api/profile").status == 200


def test_the_signature_of_the_same_claims_is_needed(federated: Service) -> None:
    """Every single bit of the signature counts."""
    head, payload, signature = token(sub="alice").split(".")
    data = bytearray(hs256(SECRET)(f"{head}.{payload}".encode()))
    assert b64(bytes(data)) == signature
    for position in (0, 15, 31):
        changed = data.copy()
        changed[position] ^= 1
        assert User(federated, "", f"{head}.{payload}.{b64(bytes(changed))}").ask("/api/profile").status == 401
