"""Supabase session cookies, by which frontends on the same site are logged in.

Supabase keeps a session as JSON under the name `sb-<project>-auth-token`. What does not fit a cookie is cut into parts
`.0`, `.1`, ... of at most 3,180 characters (`createChunks` and `combineChunks` in src/utils/chunker.ts of
https://github.com/supabase/ssr). A cookie with the whole value is read first, else the parts up to the first gap.
Since @supabase/ssr 0.5 the value is `base64-` and base64url without padding (src/cookies.ts); before, as in chatbot-ui
with its version 0.0.10, it is the JSON itself, percent-encoded part by part. The older @supabase/auth-helpers cut at
3,600 and wrote a list whose first item is the token (packages/shared/src/utils/cookies.ts of
https://github.com/supabase/auth-helpers).
"""

import re
from base64 import urlsafe_b64decode
from binascii import a2b_qp
from collections.abc import Mapping
from itertools import count, takewhile

import msgspec

MAX_SESSIONS = 4
"""How many sessions of a request are read: a browser has one for each Supabase project of the site."""
MAX_SESSION_CHARACTERS = 64 * 1024

_NAME = re.compile(r"(sb-[\w-]+-auth-token)(?:\.0)?", re.ASCII)
_BASE64 = b"base64-"


class _Session(msgspec.Struct):
    access_token: str


def tokens(cookies: Mapping[str, str]) -> list[str]:
    """Return the access tokens in the cookies of a request, not verified. Never raises.

    `cookies` are Flask's `request.cookies`: quotes are removed, percent-encoding is kept, and of several cookies with
    one name there is the first.
    """
    names = dict.fromkeys(match[1] for name in cookies if (match := _NAME.fullmatch(name)))
    found = [_token(_value(cookies, name)) for name in list(names)[:MAX_SESSIONS]]
    return [token for token in dict.fromkeys(found) if token]


def _value(cookies: Mapping[str, str], name: str) -> str:
    """Return the value of a cookie, joined from its parts if it was cut. It is empty if it is too long."""
    parts = [whole] if (whole := cookies.get(name)) else []
    if not parts:
        numbered = (cookies.get(f"{name}.{number}", "") for number in count())
        parts = list(takewhile(bool, numbered))
    return "".join(parts) if sum(map(len, parts)) <= MAX_SESSION_CHARACTERS else ""


def _token(value: str) -> str | None:
    """Return the access token of a session, or None."""
    try:
        session = msgspec.json.decode(_decoded(value), type=_Session | list[object])
    except (ValueError, RecursionError):
        return None
    token = session.access_token if isinstance(session, _Session) else next(iter(session), None)
    return token if isinstance(token, str) else None


def _decoded(value: str) -> bytes:
    """Return the JSON of a session. Raises `ValueError`.

    Percent-encoding is quoted-printable with % for =, and `a2b_qp` is written in C: 3 µs for a session, not 50.
    """
    data = a2b_qp(value.replace("=", "%3D").replace("%", "=").encode())
    if not data.startswith(_BASE64):
        return data
    return urlsafe_b64decode(data.removeprefix(_BASE64) + b"==")
