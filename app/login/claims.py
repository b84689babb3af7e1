"""JSON Web Tokens of an identity provider (RFC 7519): whose they are, if they are good.

Signatures are checked by PyJWT, with a key that is bound to one algorithm whatever a token says of itself (RFC 8725,
section 3.1).
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
from ..store.profiles import MAX_USER_CHARACTERS
from .jwks import Keys, proxy_for
from .nobody import nobody

LEEWAY_SECONDS = 30
"""How far clocks may disagree: for so long a token is good after its `exp`, and before its `nbf` and `iat`."""
MAX_TOKEN_BYTES = 8 * 1024
REMEMBERED_SECONDS = 10.0
"""For how long a token that was found good is not checked again."""
MAX_REMEMBERED = 10_000

_SHAPE = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
_PUBLIC_KEY_ALGORITHMS = ("RS256", "ES256", "EdDSA")
_TIMES = ("exp", "nbf", "iat")
_OPTIONS: Any = {"require": ["exp", "iss", "aud", "sub"], "enforce_minimum_key_length": True}
_BAD = (jwt.PyJWTError, ValueError, RecursionError)


class Claims:
    """Tells whose a token is."""

    def __init__(self, settings: Settings) -> None:
        """Take the keys, and what tokens must claim; nothing is fetched yet."""
        self._secret = settings.auth_jwt_secret
        url = settings.auth_jwks_url
        self._keys = Keys(url, proxy_for(url, settings.https_proxy, settings.no_proxy)) if url else None
        self._expected: Any = {
            "audience": settings.auth_jwt_audience,
            "issuer": settings.auth_jwt_issuer,
            "leeway": LEEWAY_SECONDS,
            "options": _OPTIONS,
        }
        self._jwt = _StrictJWT()
        self._good = _Good()
        self.configured = bool(self._secret or self._keys)
        """Whether any token can be good."""

    def user(self, token: str) -> str:
        """Return the `sub` of a token. Raises `Failure`: the same 401 whatever is wrong, 503 without keys to check it.

        A good one may be remembered for `REMEMBERED_SECONDS`, though never beyond its end.
        """
        if len(token) > MAX_TOKEN_BYTES or not token.isascii():
            raise nobody()
        digest = sha256(token.encode()).digest()
        user = self._good.get(digest)
        if user is None:
            user, end = self._check(token)
            self._good.add(digest, user, end)
        return user

    def _check(self, token: str) -> tuple[str, float]:
        """Return the user of a token, and when it ends on the wall clock."""
        if not _SHAPE.fullmatch(token):
            raise nobody()
        try:
            header = _json(urlsafe_b64decode(token.partition(".")[0] + "=="))
            key, algorithm = self._key(header)
            claims = self._jwt.decode(token, key, [algorithm], **self._expected)
        except _BAD as error:
            raise nobody() from error
        user: str = claims["sub"]
        if not 0 < len(user) <= MAX_USER_CHARACTERS or not user.isprintable() or user != user.strip():
            raise nobody()
        return user, int(claims["exp"]) + LEEWAY_SECONDS

    def _key(self, header: dict[str, Any]) -> tuple[str | jwt.PyJWK, str]:
        """Return the key for a token, and the one algorithm that it is for; never from anything that it points to.

        Raises `ValueError` without one, and for extensions that must be understood (RFC 7515, section 4.1.11).
        """
        algorithm, kid = header.get("alg"), header.get("kid")
        if "crit" in header or "b64" in header or not isinstance(kid, str | None):
            raise ValueError("an extension")
        if algorithm == "HS256" and self._secret:
            return self._secret, "HS256"
        if algorithm in _PUBLIC_KEY_ALGORITHMS and self._keys is not None:
            key = self._keys.find(kid, algorithm)
            if key is not None:
                return key, algorithm
        raise ValueError("no key")


class _Good:
    """The tokens that were found good, by their hashes, each for a short while. Threads may share it."""

    def __init__(self) -> None:
        self._users: dict[bytes, tuple[str, float, float]] = {}
        self._lock = Lock()

    def get(self, digest: bytes) -> str | None:
        """Return a token's user. Both clocks must agree: no change of the time makes a token last longer."""
        user, until, end = self._users.get(digest, ("", 0, 0))
        return user if monotonic() < until and time() < end else None

    def add(self, digest: bytes, user: str, end: float) -> None:
        """Remember a token until its end on the wall clock at the latest; the oldest make room."""
        with self._lock:
            now = monotonic()
            for oldest in list(islice(self._users, 2)):  # never many at once, and still more than are added
                if len(self._users) >= MAX_REMEMBERED or self._users[oldest][1] <= now:
                    del self._users[oldest]
            self._users[digest] = user, now + min(REMEMBERED_SECONDS, end - time()), end


class _StrictJWT(jwt.PyJWT):
    """PyJWT, which would take the last of two claims of one name, and texts and truths for times."""

    def _decode_payload(self, decoded: dict[str, Any]) -> dict[str, Any]:
        claims = _json(decoded["payload"])
        if any(type(claims[name]) is not float for name in _TIMES if name in claims):
            raise jwt.DecodeError("a time that is no number")
        return claims


def _json(data: bytes) -> dict[str, Any]:
    """Read a JSON object in which no name stands twice. Raises `ValueError`, or `RecursionError`."""
    found = _DECODER.decode(data.decode())
    if not isinstance(found, dict):
        raise ValueError("no object")  # noqa: TRY004 - what came is wrong, not what was called
    return found


def _number(text: str) -> float:
    """Read a number, all of which are doubles (RFC 8259, section 6): nobody can reckon with NaN, or with 10^400."""
    number = float(text)
    if not isfinite(number):
        raise ValueError("a number that no double holds")
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_number, parse_float=_number, parse_constant=_number)
