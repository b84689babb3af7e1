"""Which claims a token must have, and how it must be written: valid tokens, and every other one."""

import json
from collections.abc import Callable
from time import time

import pytest

from app.login.claims import MAX_TOKEN_BYTES, Claims
from tests.login.identity import (
    AUDIENCE,
    ISSUER,
    SECRET,
    UNAUTHORIZED,
    Sign,
    b64,
    claims,
    ec_key,
    ecdsa,
    ed_key,
    eddsa,
    hs256,
    rs256,
    rsa_key,
    token,
)
from tests.login.verifiers import signed, told, verifier, with_secret

HOUR = 3600


def ended(seconds: float) -> int:
    return int(time() - seconds)


@pytest.mark.parametrize(
    ("sign", "alg", "kid"),
    [
        (lambda: hs256(SECRET), "HS256", None),
        (lambda: rs256(rsa_key()), "RS256", "rsa"),
        (lambda: ecdsa(ec_key()), "ES256", "ec"),
        (lambda: eddsa(ed_key()), "EdDSA", "ed"),
        (lambda: rs256(rsa_key()), "RS256", None),
        (lambda: eddsa(ed_key()), "EdDSA", None),
        (lambda: hs256(SECRET), "HS256", "whatever"),
    ],
)
def test_a_good_token_names_its_user(both: Claims, sign: Callable[[], Sign], alg: str, kid: str | None) -> None:
    assert both.user(token(sign(), alg, kid, sub="b8e3-alice")) == "b8e3-alice"


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["other", AUDIENCE]},
        {"exp": time() + HOUR + 0.5},
        {"exp": 10**18},
        {"iat": ...},
        {"nbf": int(time()) + 20},
        {"iat": int(time()) + 20},
        {"email": "alice@example.com", "app_metadata": {"roles": [1, {"a": None}]}},
        {"jti": "1"},
    ],
)
def test_optional_claims_are_accepted(changes: dict[str, object]) -> None:
    assert with_secret().user(token(changed=changes)) == "alice"


@pytest.mark.parametrize("user", ["a", "u" * 200, "алиса", "Ann Lee", "auth0|5f7c", "a@b.example", "名前"])
def test_every_printable_id_is_a_user(user: str) -> None:
    assert with_secret().user(token(sub=user)) == user


def test_clocks_may_disagree_by_thirty_seconds() -> None:
    assert with_secret().user(token(exp=ended(20))) == "alice"
    assert told(with_secret(), token(exp=ended(31))) == UNAUTHORIZED


def test_a_login_is_configured_by_a_secret_or_by_keys() -> None:
    assert with_secret().is_configured
    assert verifier(auth_jwks_url="http://127.0.0.1:9/").is_configured
    assert not verifier().is_configured
    assert told(verifier(), token()) == UNAUTHORIZED


def test_a_token_without_a_required_claim_is_refused() -> None:
    for name in ("exp", "iss", "aud", "sub"):
        for value in (..., None):
            assert told(with_secret(), token(changed={name: value})) == UNAUTHORIZED


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": ended(HOUR)},
        {"exp": 0},
        {"exp": str(ended(-HOUR))},
        {"exp": True},
        {"exp": [ended(-HOUR)]},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"nbf": ended(-HOUR)},
        {"nbf": "0"},
        {"nbf": None},
        {"iat": ended(-HOUR)},
        {"iat": "yesterday"},
        {"jti": 1},
        {"aud": "other"},
        {"aud": []},
        {"aud": AUDIENCE[:-1]},
        {"aud": AUDIENCE + "2"},
        {"aud": AUDIENCE.upper()},
        {"aud": {AUDIENCE: True}},
        {"aud": [AUDIENCE, 1]},
        {"aud": [[AUDIENCE]]},
        {"iss": ISSUER + "/"},
        {"iss": ISSUER[:-1]},
        {"iss": ISSUER + ".evil.example"},
        {"iss": [ISSUER]},
        {"iss": ""},
        {"sub": ""},
        {"sub": 1},
        {"sub": ["alice"]},
        {"sub": "u" * 201},
        {"sub": " alice"},
        {"sub": "al\nice"},
        {"sub": "al\0ice"},
        {"sub": "alice\u202e"},
        {"sub": "alice\u200b"},
        {"sub": "\ud800"},
    ],
    ids=lambda changes: " ".join(f"{name} {type(value).__name__}" for name, value in changes.items()),
)
def test_a_token_with_an_invalid_claim_is_refused(changes: dict[str, object]) -> None:
    assert told(with_secret(), token(changed=changes)) == UNAUTHORIZED


def nested(depth: int) -> bytes:
    return b'{"sub":"alice","deep":' + b"[" * depth + b"]" * depth + b"}"


def named_twice(name: str, first: object) -> bytes:
    good = json.dumps(claims())
    return f'{{"{name}":{json.dumps(first)},{good[1:]}'.encode()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"1",
        b'"alice"',
        b"{",
        json.dumps(claims()).encode() + b"x",
        b"\xef\xbb\xbf" + json.dumps(claims()).encode(),
        json.dumps(claims()).encode("utf-16"),
        b'\xff{"sub":"alice"}',
        nested(1500),
        nested(2900),
        json.dumps([claims()]).encode(),
        json.dumps(json.dumps(claims())).encode(),
        named_twice("sub", "mallory"),
        named_twice("exp", 1),
        named_twice("s\\u0075b", "mallory"),
        *(json.dumps(claims(**{name: 10**400})).encode() for name in ("exp", "nbf", "iat", "amr")),
        *(json.dumps(claims(**{name: -(10**400)})).encode() for name in ("exp", "nbf", "iat", "amr")),
        json.dumps(claims()).replace('"iat"', '"a": NaN, "iat"').encode(),
        json.dumps(claims()).replace('"iat"', '"a": -Infinity, "iat"').encode(),
        json.dumps(claims(exp=...))[:-1].encode() + b', "exp": 1e999}',
        json.dumps(claims(exp=...))[:-1].encode() + b', "exp": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda payload: repr(payload[:40]),
)
def test_a_payload_must_be_a_plain_json_object(payload: bytes) -> None:
    assert told(with_secret(), signed({"alg": "HS256"}, payload)) == UNAUTHORIZED


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'"HS256"',
        b'{"alg":"HS256"',
        b'{"alg":"HS256"}}',
        b'{"alg":"none","alg":"HS256"}',
        b'{"alg":"HS256","a":' + b"[" * 3000 + b"]" * 3000 + b"}",
        b'\xff{"alg":"HS256"}',
        '{"alg":"HS256"}'.encode("utf-16"),
        b'{"alg":"HS256","kid":"\\ud800"}garbage',
    ],
    ids=lambda header: repr(header[:40]),
)
def test_a_header_must_be_a_plain_json_object(header: bytes) -> None:
    assert told(with_secret(), signed(header, claims())) == UNAUTHORIZED


def padded(payload: str) -> str:
    """Sign a header with the padding that base64 has, and a token has not (RFC 7515, section 2)."""
    header = b64(b'{"alg": "HS256"}') + "=="
    text = f"{header}.{payload}"
    return f"{text}.{b64(hs256(SECRET)(text.encode()))}"


def test_a_text_in_another_shape_is_refused() -> None:
    good = token()
    head, payload, signature = good.split(".")
    shapes = [
        *(
            "",
            ".",
            "..",
            "...",
            "a",
            "a.b",
            "a.b.c",
            "\0",
            "Bearer",
            "null",
            "undefined",
            "é.é.é",
            "\ud800",
            "１.２.３",
        ),
        *(f"{head}.{payload}", f"{good}.", f".{good}", f"{good}.{signature}", f"{good}.{signature}.{signature}"),
        *(f"{head}..{signature}", f".{payload}.{signature}", f"{good}=", f"{good}==", f"{good}\n", f" {good}"),
        *(f"Bearer {good}", good.replace(".", ",", 1), f"{good[:-2]}!!", f"{good}\u200b", good.replace(".", "\u3002")),
        *(good[:-1], good[1:], good[:-2] + "++", f"{head}.{payload}.{signature[::-1]}", good.swapcase()),
        padded(payload),
    ]
    for shape in shapes:
        assert told(with_secret(), shape) == UNAUTHORIZED


def test_the_spare_bits_of_base64_carry_nothing() -> None:
    """The last character of 32 bytes has two bits that no byte is made of: a token has one spelling only."""
    good = token()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    place = alphabet.index(good[-1])
    for spare in (1, 2, 3):
        other = good[:-1] + alphabet[place ^ spare]
        assert told(with_secret(), other) == UNAUTHORIZED


def test_a_long_token_is_refused_unread() -> None:
    long = token(note="x" * MAX_TOKEN_BYTES)
    assert told(with_secret(), long) == UNAUTHORIZED
    assert told(with_secret(), "a" * 10_000_000) == UNAUTHORIZED
    fits = token(note="x" * ((MAX_TOKEN_BYTES - len(token(note=""))) * 3 // 4 - 3))
    assert MAX_TOKEN_BYTES - 8 < len(fits) <= MAX_TOKEN_BYTES
    assert with_secret().user(fits) == "alice"
