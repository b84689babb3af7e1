"""Verifiers of tokens, and what they say of a token that is not valid."""

from typing import Any

from app.config import Settings
from app.login.claims import Claims
from tests.login.identity import AUDIENCE, ISSUER, SECRET, hs256, jws, refusal


def verifier(**changes: Any) -> Claims:  # noqa: ANN401 - any setting
    return Claims(Settings(auth_jwt_audience=AUDIENCE, auth_jwt_issuer=ISSUER, **changes))


def with_secret() -> Claims:
    return verifier(auth_jwt_secret=SECRET)


def signed(header: object, payload: object) -> str:
    return jws(header, payload, hs256(SECRET))


def told(checked: Claims, text: str) -> tuple[int, str, str, dict[str, str]]:
    """Return everything that somebody who is not let in is told."""
    return refusal(lambda: checked.user(text))
