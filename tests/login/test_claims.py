"""Whose a JSON Web Token is: good ones of every algorithm, and everything that is made to look like one."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, tzinfo
from time import monotonic, time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.config import Settings
from app.failure import Failure
from app.login import claims as module
from app.login.claims import MAX_TOKEN_BYTES, REMEMBERED_SECONDS, Claims
from tests.login.identity import (
    AUDIENCE,
    ISSUER,
    NOBODY,
    SECRET,
    Identity,
    Sign,
    b64,
    claims,
    ec_jwk,
    ec_key,
    ecdsa,
    ed_jwk,
    ed_key,
    eddsa,
    hs256,
    identity_provider,
    jws,
    ps256,
    refusal,
    rs256,
    rsa_jwk,
    rsa_key,
    token,
)
from tests.processes import wait_for

HOUR = 3600
FIXED = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def login(**changes: Any) -> Claims:  # noqa: ANN401 - any setting
    return Claims(Settings(auth_jwt_audience=AUDIENCE, auth_jwt_issuer=ISSUER, **changes))


@pytest.fixture
def identity() -> Iterator[Identity]:
    """An identity provider with one key of each kind."""
    with identity_provider() as running:
        running.published = [
            rsa_jwk(rsa_key(), kid="rsa", use="sig", alg="RS256"),
            ec_jwk(ec_key(), kid="ec", key_ops=["verify"]),
            ed_jwk(ed_key(), kid="ed"),
        ]
        yield running


@pytest.fixture
def both(identity: Identity) -> Claims:
    """A login by the secret and by the provider's keys."""
    return login(auth_jwt_secret=SECRET, auth_jwks_url=identity.url)


def with_secret() -> Claims:
    return login(auth_jwt_secret=SECRET)


def signed(header: object, payload: object) -> str:
    return jws(header, payload, hs256(SECRET))


def told(checked: Claims, text: str) -> tuple[int, str, str, dict[str, str]]:
    """Return everything that somebody who is not let in is told."""
    return refusal(lambda: checked.user(text))


def ended(seconds: float) -> int:
    return int(time() - seconds)


# Good ones


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
def test_what_the_standard_allows_is_taken(changes: dict[str, object]) -> None:
    assert with_secret().user(token(changed=changes)) == "alice"


@pytest.mark.parametrize("user", ["a", "u" * 200, "алиса", "Ann Lee", "auth0|5f7c", "a@b.example", "名前"])
def test_every_printable_id_is_a_user(user: str) -> None:
    assert with_secret().user(token(sub=user)) == user


def test_clocks_may_disagree_by_thirty_seconds() -> None:
    assert with_secret().user(token(exp=ended(20))) == "alice"
    assert told(with_secret(), token(exp=ended(31))) == NOBODY


def test_a_login_is_configured_by_a_secret_or_by_keys() -> None:
    assert with_secret().configured
    assert login(auth_jwks_url="http://127.0.0.1:9/").configured
    assert not login().configured
    assert told(login(), token()) == NOBODY


def test_headers_that_point_to_keys_are_passed_over(both: Claims, identity: Identity) -> None:
    with identity_provider() as other:
        other.published = [rsa_jwk(rsa_key("attacker"), kid="rsa", alg="RS256")]
        pointing = {"alg": "RS256", "kid": "rsa", "jku": other.url, "x5u": other.url, "jwk": other.published[0]}
        assert both.user(jws(pointing, claims(), rs256(rsa_key()))) == "alice"
        assert told(both, jws(pointing, claims(), rs256(rsa_key("attacker")))) == NOBODY
        assert other.requests == []
    assert len(identity.requests) == 1


def test_a_mirrored_signature_is_no_forgery(both: Claims) -> None:
    """Of an ECDSA signature (r, s) anybody can make (r, -s); it says nothing that was not signed."""
    good = token(ecdsa(ec_key()), "ES256", "ec")
    head, _, signature = good.rpartition(".")
    raw = jwt.utils.base64url_decode(signature)
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    mirrored = raw[:32] + (order - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    assert both.user(f"{head}.{b64(mirrored)}") == both.user(good) == "alice"


# Attacks: all of them get the same bytes


def unsigned(alg: object) -> str:
    return f"{b64(json.dumps({'alg': alg, 'typ': 'JWT'}).encode())}.{b64(json.dumps(claims()).encode())}."


def test_every_claim_that_is_needed_is_needed() -> None:
    for name in ("exp", "iss", "aud", "sub"):
        for value in (..., None):
            assert told(with_secret(), token(changed={name: value})) == NOBODY


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": ended(HOUR)},
        {"exp": 0},
        {"exp": -1},
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
        {"iat": {}},
        {"jti": 1},
        {"aud": "other"},
        {"aud": ["other", "another"]},
        {"aud": []},
        {"aud": ""},
        {"aud": AUDIENCE[:-1]},
        {"aud": AUDIENCE + "2"},
        {"aud": AUDIENCE.upper()},
        {"aud": {AUDIENCE: True}},
        {"aud": [AUDIENCE, 1]},
        {"aud": [[AUDIENCE]]},
        {"aud": 1},
        {"iss": ISSUER + "/"},
        {"iss": ISSUER[:-1]},
        {"iss": ISSUER + ".evil.example"},
        {"iss": "https://login.example"},
        {"iss": ISSUER.upper()},
        {"iss": [ISSUER]},
        {"iss": ""},
        {"iss": {"iss": ISSUER}},
        {"sub": ""},
        {"sub": 1},
        {"sub": True},
        {"sub": ["alice"]},
        {"sub": {"sub": "alice"}},
        {"sub": "u" * 201},
        {"sub": " alice"},
        {"sub": "alice "},
        {"sub": "al\nice"},
        {"sub": "al\0ice"},
        {"sub": "alice\u202e"},
        {"sub": "alice\u200b"},
        {"sub": "alice\u00a0"},
        {"sub": "\ud800"},
    ],
    ids=lambda changes: " ".join(f"{name} {type(value).__name__}" for name, value in changes.items()),
)
def test_a_claim_that_is_not_as_it_must_be_is_nobody_s(changes: dict[str, object]) -> None:
    assert told(with_secret(), token(changed=changes)) == NOBODY


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "none ", "", None, 0, False, [], ["none"], {}, "..."])
def test_a_token_without_a_signature_is_nobody_s(both: Claims, alg: object) -> None:
    bare = unsigned(alg)
    for text in (bare, bare[:-1], bare + b64(b"x"), bare + b64(bytes(32))):
        assert told(both, text) == NOBODY
    assert told(both, signed({"typ": "JWT"}, claims())) == NOBODY


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
def test_a_public_key_is_no_secret(both: Claims, identity: Identity, number: int) -> None:
    sign = hs256(public_forms()[number])
    for only in (both, login(auth_jwks_url=identity.url)):
        for kid in ("rsa", None):
            assert told(only, token(sign, "HS256", kid)) == NOBODY
            assert told(only, token(sign, "RS256", kid)) == NOBODY


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
def test_a_signature_by_another_key_or_algorithm_is_nobody_s(
    both: Claims, sign: Callable[[], Sign], alg: str, kid: str | None
) -> None:
    assert told(both, token(sign(), alg, kid)) == NOBODY


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
        assert told(both, token(sign, "RS256", kid)) == NOBODY
    assert told(both, token(hs256(""), "HS256", kid)) == NOBODY


@pytest.mark.parametrize("kid", [1, True, None, ["rsa"], {"kid": "rsa"}])
def test_a_key_id_is_a_text(both: Claims, kid: object) -> None:
    assert told(both, jws({"alg": "RS256", "kid": kid}, claims(), rs256(rsa_key()))) == NOBODY
    assert told(both, signed({"alg": "HS256", "kid": kid}, claims())) == NOBODY


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
def test_extensions_that_must_be_understood_are_not(extension: dict[str, object]) -> None:
    assert told(with_secret(), signed({"alg": "HS256", **extension}, claims())) == NOBODY


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
def test_a_payload_that_is_no_plain_object_is_nobody_s(payload: bytes) -> None:
    assert told(with_secret(), signed({"alg": "HS256"}, payload)) == NOBODY


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
def test_a_header_that_is_no_plain_object_is_nobody_s(header: bytes) -> None:
    assert told(with_secret(), signed(header, claims())) == NOBODY


def padded(payload: str) -> str:
    """Sign a header with the padding that base64 has, and a token has not (RFC 7515, section 2)."""
    header = b64(b'{"alg": "HS256"}') + "=="
    text = f"{header}.{payload}"
    return f"{text}.{b64(hs256(SECRET)(text.encode()))}"


def test_what_has_not_the_shape_of_a_token_is_nobody_s() -> None:
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
        assert told(with_secret(), shape) == NOBODY


def test_the_spare_bits_of_base64_carry_nothing() -> None:
    """The last character of 32 bytes has two bits that no byte is made of: a token has one spelling only."""
    good = token()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    place = alphabet.index(good[-1])
    for spare in (1, 2, 3):
        other = good[:-1] + alphabet[place ^ spare]
        assert told(with_secret(), other) == NOBODY


def test_a_long_token_is_refused_unread() -> None:
    long = token(note="x" * MAX_TOKEN_BYTES)
    assert told(with_secret(), long) == NOBODY
    assert told(with_secret(), "a" * 10_000_000) == NOBODY
    fits = token(note="x" * ((MAX_TOKEN_BYTES - len(token(note=""))) * 3 // 4 - 3))
    assert MAX_TOKEN_BYTES - 8 < len(fits) <= MAX_TOKEN_BYTES
    assert with_secret().user(fits) == "alice"


def test_a_secret_that_is_too_short_or_a_public_key_lets_nobody_in_and_warns_nobody() -> None:
    pem = public_forms()[0].decode()
    for secret in ("short", "x" * 31, pem):
        weak = login(auth_jwt_secret=secret)
        assert told(weak, token(hs256(secret))) == NOBODY


def test_a_weak_published_key_lets_nobody_in(identity: Identity) -> None:
    weak = rsa_key("weak", 1024)
    identity.published.append(rsa_jwk(weak, kid="weak"))
    assert told(login(auth_jwks_url=identity.url), token(rs256(weak), "RS256", "weak")) == NOBODY


def test_each_login_takes_only_its_own_algorithms(identity: Identity) -> None:
    keyed = login(auth_jwks_url=identity.url)
    assert told(keyed, token()) == NOBODY
    assert told(keyed, token(hs256(""))) == NOBODY
    assert identity.requests == []
    assert keyed.user(token(rs256(rsa_key()), "RS256", "rsa")) == "alice"
    assert told(with_secret(), token(rs256(rsa_key()), "RS256", "rsa")) == NOBODY


def test_without_keys_nobody_can_tell(identity: Identity) -> None:
    identity.reply = lambda request: request.send_error(500)
    status, code, _, headers = told(login(auth_jwks_url=identity.url), token(rs256(rsa_key()), "RS256", "rsa"))
    assert (status, code, headers) == (503, "auth_unavailable", {"Retry-After": "5"})


# What is remembered


class Clock:
    """The clocks, for the verifier and for PyJWT, moved by so many seconds."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.wall = self.steady = 0.0
        patch.setattr(module, "time", lambda: time() + self.wall)
        patch.setattr(module, "monotonic", lambda: monotonic() + self.steady)
        clock = self

        class Now(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
                return datetime.fromtimestamp(time() + clock.wall, tz)

        patch.setattr("jwt.api_jwt.datetime", Now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_a_remembered_token_ends_when_it_must(clock: Clock) -> None:
    checked, good = with_secret(), token(exp=int(time()) + 5)
    assert checked.user(good) == "alice"
    clock.wall = clock.steady = 5 + module.LEEWAY_SECONDS + 0.1
    assert told(checked, good) == NOBODY


def test_a_clock_set_forward_ends_it(clock: Clock) -> None:
    checked, good = with_secret(), token(exp=int(time()) + 60)
    assert checked.user(good) == "alice"
    clock.wall = HOUR
    assert told(checked, good) == NOBODY


def test_a_clock_set_back_makes_it_last_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    checked, good = with_secret(), token(exp=ended(module.LEEWAY_SECONDS - 2))
    assert checked.user(good) == "alice"
    monkeypatch.setattr(module, "time", lambda: time() - HOUR)
    wait_for(lambda: not is_good(checked, good))


def is_good(checked: Claims, text: str) -> bool:
    try:
        return bool(checked.user(text))
    except Failure:
        return False


def test_a_token_is_checked_again_after_ten_seconds(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    checked, good = with_secret(), token()
    assert checked.user(good) == "alice"
    monkeypatch.setattr(checked, "_secret", "another secret, of an operator in a hurry")
    clock.steady = REMEMBERED_SECONDS - 1
    assert checked.user(good) == "alice"
    clock.steady = REMEMBERED_SECONDS
    assert told(checked, good) == NOBODY


def test_what_is_remembered_is_bounded_and_a_token_s_text_is_not_in_it(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_REMEMBERED", 20)
    checked = with_secret()
    remembered = checked._good._users  # noqa: SLF001 - what it costs cannot be seen from outside
    for number in range(100):
        assert checked.user(token(sub=f"user-{number}")) == f"user-{number}"
        assert len(remembered) <= 20
    assert all(len(digest) == 32 for digest in remembered)
    assert {user for user, _, _ in remembered.values()} >= {f"user-{number}" for number in range(85, 100)}
    clock.steady = REMEMBERED_SECONDS + 1
    for number in range(10):
        checked.user(token(sub=f"later-{number}"))
    assert {user for user, _, _ in remembered.values()} == {f"later-{number}" for number in range(10)}


def test_a_refusal_is_not_remembered_as_a_user() -> None:
    checked, bad = with_secret(), token(hs256("somebody else's secret, as long as it has to be"))
    for _ in range(3):
        assert told(checked, bad) == NOBODY
    assert checked.user(token()) == "alice"


def test_many_threads_may_ask_at_once(both: Claims, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REMEMBERED", 10)
    texts = [token(sub=f"user-{number}") for number in range(40)]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(both.user, texts * 25))
    assert found == [f"user-{number}" for number in range(40)] * 25


# Anything at all

GOOD = token(exp=4_000_000_000, iat=0)
HEADERS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["alg", "kid", "crit", "b64", "typ", "cty", "jku", "sub", "aud", "iss", "exp", "nbf", "iat", "jti"]
)


@FIXED
@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")) | st.from_regex(r"[\w-]*\.[\w-]*\.[\w-]*"))
def test_no_text_is_anything_but_nobody_s(text: str) -> None:
    assert told(with_secret(), text) == NOBODY


@FIXED
@given(st.integers(0, len(GOOD)), st.integers(0, 3), st.text(max_size=3))
def test_no_change_of_a_good_token_is_good(place: int, cut: int, new: str) -> None:
    changed = GOOD[:place] + new + GOOD[place + cut :]
    if changed == GOOD:
        assert with_secret().user(changed) == "alice"
    else:
        assert told(with_secret(), changed) == NOBODY


@FIXED
@given(st.dictionaries(NAMES, HEADERS), st.dictionaries(NAMES, HEADERS), st.sampled_from(["HS256", "RS256", "ES256"]))
def test_whatever_the_provider_signs_names_a_user_or_nobody(
    both: Claims, header: dict[str, object], changes: dict[str, object], alg: str
) -> None:
    sign = {"HS256": hs256(SECRET), "RS256": rs256(rsa_key()), "ES256": ecdsa(ec_key())}[alg]
    text = jws({**header, "alg": alg}, claims(**changes), sign)
    try:
        user = both.user(text)
    except Failure:
        assert told(both, text) == NOBODY
    else:
        assert user == changes.get("sub", "alice")


@FIXED
@given(st.binary(), st.binary())
def test_whatever_bytes_are_signed_name_nobody(header: bytes, payload: bytes) -> None:
    assert told(with_secret(), jws(header, payload, hs256(SECRET))) == NOBODY
    assert told(with_secret(), jws({"alg": "HS256"}, payload, hs256(SECRET))) == NOBODY
