"""Which keys of a set are used, and for which tokens: RFC 7517."""

from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, x448, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from app.login.jwks import Keys
from tests.login.identity import Identity, Jwk, b64, ec_jwk, ec_key, ed_jwk, ed_key, rsa_jwk, rsa_key
from tests.login.key_sets import has

OTHER_ALGORITHMS: list[object] = ["RS512", "PS256", "HS256", "none", "", None, 1, []]


def okp(curve: str, public: x25519.X25519PublicKey | x448.X448PublicKey) -> Jwk:
    return {"kty": "OKP", "crv": curve, "x": b64(public.public_bytes(Encoding.Raw, PublicFormat.Raw)), "kid": "odd"}


def odd_keys() -> Iterator[Jwk]:
    """Yield keys with which no signature may be checked."""
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
    yield rsa_jwk(rsa_key(), kid="odd", crv="P-256")
    yield rsa_jwk(rsa_key(), kid="odd") | {"n": 7}
    yield rsa_jwk(rsa_key(), kid="odd") | {"n": ""}
    yield {"kty": "RSA", "kid": "odd"}
    yield ec_jwk(ec_key(), kid="odd", alg="RS256")
    yield ec_jwk(ec_key(ec.SECP384R1), "P-384", kid="odd")
    yield ec_jwk(ec_key(ec.SECP384R1), "P-256", kid="odd")
    yield ec_jwk(ec_key(ec.SECP256K1), "P-256", kid="odd")
    yield ec_jwk(ec_key(), kid="odd") | {"x": b64(bytes(32))}
    yield {"kty": "EC", "crv": ["P-256"], "kid": "odd"}
    yield {"kty": {}, "kid": "odd"}
    yield ed_jwk(ed_key(), kid="odd") | {"x": b64(bytes(31))}
    yield ed_jwk(ed448.Ed448PrivateKey.generate(), "Ed448", kid="odd")
    yield okp("X25519", x25519.X25519PrivateKey.generate().public_key())
    yield okp("Ed25519", x448.X448PrivateKey.generate().public_key())


@pytest.mark.parametrize("odd", list(odd_keys()), ids=lambda jwk: str(jwk["kty"]))
def test_a_key_that_is_not_fit_for_use_is_left_out(identity: Identity, odd: Jwk) -> None:
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


def test_a_token_without_a_key_id_takes_the_only_fitting_key(identity: Identity) -> None:
    identity.published = [ec_jwk(ec_key()), rsa_jwk(rsa_key(), kid="a"), rsa_jwk(rsa_key("other"), kid="b")]
    keys = Keys(identity.url)
    assert has(keys, None, "ES256")
    assert not has(keys, None, "RS256")
    assert not has(keys, None, "EdDSA")
    assert not has(keys, "a", "ES256")
    assert not has(keys, "", "ES256")


def test_the_first_of_two_keys_with_one_id_counts(identity: Identity) -> None:
    identity.published = [rsa_jwk(rsa_key(), kid="a"), rsa_jwk(rsa_key("other"), kid="a")]
    found = Keys(identity.url).find("a", "RS256")
    assert found is not None
    assert found.key.public_numbers() == rsa_key().public_key().public_numbers()


def test_only_the_first_hundred_keys_are_read(identity: Identity) -> None:
    identity.published = [ed_jwk(ed_key(), kid=str(number)) for number in range(150)]
    keys = Keys(identity.url)
    assert has(keys, "99", "EdDSA")
    assert not has(keys, "100", "EdDSA")
