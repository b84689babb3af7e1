"""Verification of the JSON Web Tokens of an identity provider (RFC 7519).

PyJWT checks the signatures. Each key is bound to one algorithm, whatever the header of a token says (RFC 8725, section
3.1).
"""

import json
import re
from base64 import urlsafe_b64decode
from hashlib import sha256
from itertools import islice
from math import isfinite
from threading import Lock
from time import monotonic, time
from typing import Any

import jwt

from ..config import Settings
from ..proxy import Proxy
from ..store.profiles import is_user_id
from .jwks import Keys
from .unauthorized import unauthorized

LEEWAY_SECONDS = 30
"""How far the clocks of two machines may differ: a token is valid so long after `exp` and before `nbf` and `iat`."""
MAX_TOKEN_BYTES = 8 * 1024
CACHE_SECONDS = 10.0
"""How long a valid token is not verified again."""
MAX_CACHED = 10_000

_SHAPE = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
_PUBLIC_KEY_ALGORITHMS = ("RS256", "ES256", "EdDSA")
_TIMES = ("exp", "nbf", "iat")
_OPTIONS: Any = {"require": ["exp", "iss", "aud", "sub"], "enforce_minimum_key_length": True}
_INVALID = (jwt.PyJWTError, ValueError, RecursionError)


class Claims:
    """Verifies tokens, with a shared secret or with the published keys of the identity provider."""

    def __init__(self, settings: Settings) -> None:
        """Take the secret, the URL of the keys, the audience and the issuer. Nothing is fetched yet."""
        self._secret = settings.auth_jwt_secret
        url = settings.auth_jwks_url
        self._keys = Keys(url, Proxy(settings.https_proxy, settings.no_proxy)) if url else None
        self._expected: Any = {
            "audience": settings.auth_jwt_audience,
            "issuer": settings.auth_jwt_issuer,
            "leeway": LEEWAY_SECONDS,
            "options": _OPTIONS,
        }
        self._jwt = _StrictJWT()
        self._cache = _Cache()
        self.is_configured = bool(self._secret or self._keys)
        """Whether there is a secret or a URL of keys; without both, no token is valid."""

    def user(self, token: str) -> str:
        """Return the `sub` of a valid token. Raises `Failure`: 401 for any other, 503 while there are no keys.

        A valid token is cached for `CACHE_SECONDS`, though never beyond its end.
        """
        if len(token) > MAX_TOKEN_BYTES or not token.isascii():
            raise unauthorized()
        digest = sha256(token.encode()).digest()
        user = self._cache.get(digest)
        if user is None:
            user, end = self._verify(token)
            self._cache.add(digest, user, end)
        return user

    def _verify(self, token: str) -> tuple[str, float]:
        """Return the user of a token, and the Unix time at which the token ends."""
        if not _SHAPE.fullmatch(token):
            raise unauthorized()
        try:
            header = _json(urlsafe_b64decode(token.partition(".")[0] + "=="))
            key, algorithm = self._key(header)
            claims = self._jwt.decode(token, key, [algorithm], **self._expected)
        except _INVALID as error:
            raise unauthorized() from error
        user: str = claims["sub"]
        if not is_user_id(user):
            raise unauthorized()
        return user, int(claims["exp"]) + LEEWAY_SECONDS

    def _key(self, header: dict[str, Any]) -> tuple[str | jwt.PyJWK, str]:
        """Return the key for a token, and its algorithm. A key in the header, or an address of one, is ignored.

        Raises `ValueError` if there is no such key, and for extensions, because ignoring one is forbidden (RFC 7515,
        section 4.1.11).
        """
        algorithm, kid = header.get("alg"), header.get("kid")
        if "crit" in header or "b64" in header or not isinstance(kid, str | None):
            raise ValueError("an extension, or a key id that is not a string")
        if algorithm == "HS256" and self._secret:
            return self._secret, "HS256"
        if algorithm in _PUBLIC_KEY_ALGORITHMS and self._keys is not None:
            key = self._keys.find(kid, algorithm)
            if key is not None:
                return key, algorithm
        raise ValueError("no key")


class _Cache:
    """A TTL cache of valid tokens, by their SHA-256. Threads may share it."""

    def __init__(self) -> None:
        self._users: dict[bytes, tuple[str, float, float]] = {}
        self._lock = Lock()

    def get(self, digest: bytes) -> str | None:
        """Return the user of a token. Both clocks count: setting the time of day back makes no token last longer."""
        user, until, end = self._users.get(digest, ("", 0, 0))
        return user if monotonic() < until and time() < end else None

    def add(self, digest: bytes, user: str, end: float) -> None:
        """Add a token, which ends at a Unix time. Expired entries are removed, and the oldest ones of a full cache."""
        with self._lock:
            now = monotonic()
            for oldest in list(islice(self._users, 2)):  # more than are added, so that an old cache shrinks
                if len(self._users) >= MAX_CACHED or self._users[oldest][1] <= now:
                    del self._users[oldest]
            self._users[digest] = user, now + min(CACHE_SECONDS, end - time()), end


class _StrictJWT(jwt.PyJWT):
    """PyJWT, but strict: no duplicate names, and no times that are strings or booleans."""

    def _decode_payload(self, decoded: dict[str, Any]) -> dict[str, Any]:
        claims = _json(decoded["payload"])
        if any(type(claims[name]) is not float for name in _TIMES if name in claims):
            raise jwt.DecodeError("a time that is not a number")
        return claims


def _json(data: bytes) -> dict[str, Any]:
    """Parse a JSON object without duplicate names. Raises `ValueError`, or `RecursionError` for deep nesting.

    msgspec would take the last of two values of the same name, and cannot be told to refuse them.
    """
    found = _DECODER.decode(data.decode())
    if not isinstance(found, dict):
        raise ValueError("not an object")  # noqa: TRY004 - bad input is always a `ValueError` here
    return found


def _number(text: str) -> float:
    """Parse a number as a double (RFC 8259, section 6). Raises `ValueError` for NaN, infinities and 10^400."""
    number = float(text)
    if not isfinite(number):
        raise ValueError("a number outside the range of doubles")
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a duplicate name")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_number, parse_float=_number, parse_constant=_number)
