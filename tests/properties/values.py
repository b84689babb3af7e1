"""The values that more than one rule is about."""

from typing import Any

from hypothesis import strategies as st

texts = st.text(max_size=12)
"""Text as it may come and go: half surrogate pairs are none."""

odd_texts = st.text(
    st.one_of(st.characters(exclude_categories=()), st.sampled_from("\ud83d\ude00\0\u2028a")), max_size=12
)
"""Text as JSON can carry it, halves of surrogate pairs included."""


def json_values(strings: st.SearchStrategy[str], *, numbers: bool = True) -> st.SearchStrategy[Any]:
    """Make any JSON value of these strings; numbers JSON does not know, but Python writes, among them if asked."""
    floats = st.floats(allow_nan=numbers, allow_infinity=numbers)
    integers = st.integers() | st.integers(10**18, 10**25)
    leaves = st.none() | st.booleans() | integers | floats | strings
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | objects(strings, inner), max_leaves=12)


def objects(strings: st.SearchStrategy[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(strings, values, max_size=4)
