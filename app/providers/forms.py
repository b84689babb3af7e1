"""Forms: what the value of a field may look like. Whether a value is right, only its provider knows."""

import re
from collections.abc import Callable
from typing import NamedTuple

import msgspec


class Form(NamedTuple):
    """A validator: the ending of the error message, which may name the field's {example}, and the predicate."""

    sentence: str
    fits: Callable[[str], object]


_MAX_NAME_CHARACTERS = 200
_MAX_DEPLOYMENTS_CHARACTERS = 10_000


def _is_name(value: object) -> bool:
    if not isinstance(value, str):
        return False
    return value.isprintable() and value.strip() == value and 0 < len(value) <= _MAX_NAME_CHARACTERS


def _object(value: str) -> dict[str, object] | None:
    try:
        return msgspec.json.decode(value, type=dict[str, object])
    except (ValueError, RecursionError):  # msgspec's own errors are of the first kind
        return None


def names_in(value: str) -> dict[str, str]:
    """Return the names by names in a JSON object; the environment may have anything there."""
    return {key: name for key, name in (_object(value) or {}).items() if isinstance(name, str)}


def _is_deployments(value: str) -> bool:
    found = _object(value) if len(value) <= _MAX_DEPLOYMENTS_CHARACTERS else None
    return value.isprintable() and found is not None and all(map(_is_name, (*found, *found.values())))


KEY = Form("must be 1 to 500 visible ASCII characters without a space", re.compile(r"[\x21-\x7e]{1,500}").fullmatch)
HEADER = Form("must be 1 to 200 visible ASCII characters without a space", re.compile(r"[\x21-\x7e]{1,200}").fullmatch)
NAME = Form("must be a name of 1 to 200 characters", _is_name)
VERSION = Form("must be a version like {example}", re.compile(r"[A-Za-z0-9.-]{1,40}").fullmatch)
DEPLOYMENTS = Form("must be deployments by their models, like {example}", _is_deployments)
ENDPOINT = Form("must be an address like {example}", re.compile(r"https?://[\x21-\x7e]{1,500}").fullmatch)
