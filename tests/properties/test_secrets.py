"""What a provider says when it refuses: whatever is in it, no key comes through, and nothing that is not a sentence."""

import json
import string
import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.dialects.refusal import refused, reported
from app.failure import Code, Failure
from app.upstream.account import Account
from app.upstream.secrets import MAX_MESSAGE_CHARACTERS, cleaned

from .values import json_values, odd_texts

TOKEN = string.ascii_letters + string.digits + "-._~+/"
"""What a bearer token is made of (RFC 6750)."""

KEY = "key-of-the-test"
PREFIXES = ["sk-", "sk-proj-", "sk-ant-", "gsk_", "xai-", "pplx-", "AIza", "AQ.", "Bearer "]

keys = st.text(TOKEN, min_size=12, max_size=60)
known_keys = st.builds(str.__add__, st.sampled_from(PREFIXES), keys)
gaps = odd_texts | st.sampled_from(
    ["", " ", "'", '"', "\n", ": ", ", ", "(", ").", "\0", "\u2028", "\ud83d", "x" * 490]
)


@given(keys | known_keys, st.lists(gaps, min_size=2, max_size=5))
def test_the_key_that_was_used_never_comes_through(key: str, between: list[str]) -> None:
    assert key not in cleaned(key.join(between), key)


@given(keys, known_keys, gaps, gaps)
def test_nor_does_any_other_that_looks_like_one(key: str, other: str, before: str, after: str) -> None:
    secret = other.removeprefix("Bearer ")
    assume(not (before[-1:].isalnum() or before[-1:] == "_"))  # "ask-me" is a word
    assume(secret not in before + after)
    assert secret not in cleaned(f"{before}{other}{after}", key)


@given(odd_texts | st.lists(gaps | st.characters(categories=["Cc"]), max_size=20).map("".join), keys)
def test_what_comes_through_is_a_sentence(message: str, key: str) -> None:
    found = cleaned(message, key)
    found.encode()
    assert len(found) <= MAX_MESSAGE_CHARACTERS
    assert found == found.strip()
    assert not [character for character in found if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")]


_names = st.sampled_from(["error", "message", "detail", "msg", "loc", "code", "type", KEY, f"x {KEY}"])
_strings = st.sampled_from([KEY, f"{KEY}{KEY}", f"The key '{KEY}' is wrong.", f"\ud83d{KEY}", "", "insufficient_quota"])
_inner = json_values(_strings | odd_texts)
_errors = st.dictionaries(_names, _inner | st.dictionaries(_names, _inner, max_size=4), max_size=4)


@given(_errors | st.lists(_errors, max_size=2), st.integers(300, 700), odd_texts)
def test_no_refusal_shows_a_key(error: object, status: int, delay: str) -> None:
    """Wherever in an error answer the key may be: in any member, or in the name of one."""
    assert_told_well(refused(Account("Groq", "", KEY), status, {"retry-after": delay}, json.dumps(error).encode()))
    assert_told_well(reported(Account("Groq", "", KEY), error))


@given(st.binary(), st.integers(300, 700))
def test_any_error_answer_is_a_sentence(content: bytes, status: int) -> None:
    assert_told_well(refused(Account("Groq", "", KEY), status, {}, content))


@pytest.mark.parametrize("shape", [b"%b", b'{"error":{"message":%b}}', b'{"detail":[{"msg":"a","loc":[%b]}]}'])
def test_no_depth_of_an_error_answer_is_a_mistake_of_ours(shape: bytes) -> None:
    for depth in range(800, 1100):
        assert_told_well(refused(Account("Groq", "", KEY), 400, {}, shape % (b"[" * depth + b"]" * depth)))


def assert_told_well(failure: Failure) -> None:
    assert KEY not in json.dumps([failure.message, failure.code, dict(failure.headers)])
    assert failure.message.strip()
    assert failure.code in set(Code)
    assert 400 <= failure.status < 600
