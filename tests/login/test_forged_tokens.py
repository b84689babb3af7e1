"""A token of each kind that must be refused, sent to a service: every refusal is the same to the byte.

Which tokens are refused, down to the claim, is in test_claims.py and test_signatures.py.
"""

import json
import time

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.login.identity import (
    SECRET,
    claims,
    hs256,
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
    "no algorithm, and a signature": forged(alg="none"),
    "another secret": token(hs256("another secret of thirty-two bytes")),
    "the public key as a secret": token(hs256(pem()), kid="RS256"),
    "another key under a published name": token(STRANGER, "RS256", "RS256"),
    "another key under an unknown name": token(STRANGER, "RS256", "unknown"),
    "another key in the token": jws({"alg": "RS256", "jwk": OWN}, claims(), STRANGER),
    "a key id that is a number": jws({"alg": "RS256", "kid": 7}, claims(), STRANGER),
    "another algorithm of the key": token(ps256(rsa_key()), "PS256", "RS256"),
    "an extension": forged(crit=["exp"]),
    "the payload of another token": ".".join(
        [*token().split(".")[:1], *token(sub="root").split(".")[1:2], token().split(".")[2]]
    ),
    "a signature cut": token()[:-1],
    "five parts": token() + ".e30.e30",
    "a header that is a list": jws([], claims(), hs256(SECRET)),
    "a user twice": jws(GOOD_HEADER, json.dumps(claims())[:-1].encode() + b',"sub":"root"}', hs256(SECRET)),
    "a payload without an end": jws(GOOD_HEADER, b"[" * 3000, hs256(SECRET)),
    "ended": token(exp=int(time.time()) - 31),
    "an end that is text": token(exp="9999999999"),
    "not yet": token(nbf=int(time.time()) + 3600),
    "another issuer": token(iss="https://evil.example"),
    "another audience": token(aud="anon"),
    "an empty user": token(sub=""),
    "a user of two lines": token(sub="alice\nroot"),
    "the user of this machine": token(sub="local"),
}


@pytest.mark.parametrize("credential", FORGED.values(), ids=FORGED)
def test_every_forged_token_gets_the_same_answer(federated: Service, unauthorized: bytes, credential: str) -> None:
    assert refusal(federated, b"Authorization: Bearer " + credential.encode()) == unauthorized


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
