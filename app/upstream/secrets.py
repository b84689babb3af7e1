"""A provider's text -> a text that may be shown: no key, no control characters, at most one sentence long."""

import re

MAX_MESSAGE_CHARACTERS = 500
MIN_PART_CHARACTERS = 8
"""How many characters of a key in a row are treated as a part of it."""
_MAX_SEARCHED_CHARACTERS = 2000

_SECRETS = re.compile(r"(?:\b|(?<=\\[nrt]))(?:sk-|gsk_|xai-|pplx-|AIza|AQ\.|Bearer )[^\s\"',;)]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def cleaned(message: str, key: str) -> str:
    """Shorten a provider's text to a sentence, and remove keys, control characters and lone surrogates."""
    message = message.replace(key, "[key]").encode("utf-8", "replace").decode()
    message = _SECRETS.sub("[key]", _CONTROL.sub(" ", message))
    return _without_parts(message[:_MAX_SEARCHED_CHARACTERS], key)[:MAX_MESSAGE_CHARACTERS].strip()


def _without_parts(message: str, key: str) -> str:
    """Replace every part of the key that is at least `MIN_PART_CHARACTERS` long."""
    size = MIN_PART_CHARACTERS
    parts = {key[start : start + size] for start in range(len(key) - size + 1)}
    found, kept = 0, []
    for start in range(len(message)):
        if message[start : start + size] in parts:
            kept += [] if found > start else ["[key]"]
            found = start + size
        elif found <= start:
            kept.append(message[start])
    return "".join(kept)
