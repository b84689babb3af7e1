"""A provider's usage -> its token counts, by the provider's own names."""

import re
from itertools import islice
from typing import Any

import msgspec

MAX_COUNTS = 50
"""How many counts of a usage are read."""
MAX_COUNT = 10**15
"""The limit above which a number is not taken for a count."""
MAX_USAGE_BYTES = 16 * 1024
"""The size above which a usage is ignored."""

_COUNT = re.compile(r"[a-z_]{1,50}")
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def counts(usage: object) -> dict[str, Any]:
    """Return the counts in a usage, which may be decoded or not; empty for a value that is not an object."""
    usage = _decoded(usage) if isinstance(usage, msgspec.Raw) else usage
    return _numbers(usage) if isinstance(usage, dict) else {}


def _decoded(usage: msgspec.Raw) -> object:
    """Decode a usage; None if it is too large or invalid."""
    try:
        return _decode(usage) if len(usage) <= MAX_USAGE_BYTES else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _numbers(usage: dict[str, Any], *, with_details: bool = True) -> dict[str, Any]:
    """Return the numbers in a usage and in its nested details; other values are dropped."""
    known = {name: value for name, value in islice(usage.items(), MAX_COUNTS) if _COUNT.fullmatch(name)}
    found: dict[str, Any] = {
        name: value if isinstance(value, int) else float(value) for name, value in known.items() if _is_count(value)
    }
    for name, value in known.items():
        if with_details and isinstance(value, dict) and (details := _numbers(value, with_details=False)):
            found[name] = details
    return found


def _is_count(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < MAX_COUNT
