"""Any text, and anything that is signed: properties of verification."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.failure import Failure
from app.login.claims import Claims
from tests.login.identity import (
    SECRET,
    UNAUTHORIZED,
    claims,
    ec_key,
    ecdsa,
    hs256,
    jws,
    rs256,
    rsa_key,
    token,
)
from tests.login.verifiers import told, with_secret

FIXED = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


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
def test_any_text_is_refused(text: str) -> None:
    assert told(with_secret(), text) == UNAUTHORIZED


@FIXED
@given(st.integers(0, len(GOOD)), st.integers(0, 3), st.text(max_size=3))
def test_any_change_of_a_valid_token_is_refused(place: int, cut: int, new: str) -> None:
    changed = GOOD[:place] + new + GOOD[place + cut :]
    if changed == GOOD:
        assert with_secret().user(changed) == "alice"
    else:
        assert told(with_secret(), changed) == UNAUTHORIZED


@FIXED
@given(st.dictionaries(NAMES, HEADERS), st.dictionaries(NAMES, HEADERS), st.sampled_from(["HS256", "RS256", "ES256"]))
def test_any_signed_claims_name_a_user_or_are_refused(
    both: Claims, header: dict[str, object], changes: dict[str, object], alg: str
) -> None:
    sign = {"HS256": hs256(SECRET), "RS256": rs256(rsa_key()), "ES256": ecdsa(ec_key())}[alg]
    text = jws({**header, "alg": alg}, claims(**changes), sign)
    try:
        user = both.user(text)
    except Failure:
        assert told(both, text) == UNAUTHORIZED
    else:
        assert user == changes.get("sub", "alice")


@FIXED
@given(st.binary(), st.binary())
def test_any_signed_bytes_are_refused(header: bytes, payload: bytes) -> None:
    assert told(with_secret(), jws(header, payload, hs256(SECRET))) == UNAUTHORIZED
    assert told(with_secret(), jws({"alg": "HS256"}, payload, hs256(SECRET))) == UNAUTHORIZED
