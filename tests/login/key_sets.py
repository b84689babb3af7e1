"""What tests of a key set share: how a key is asked for, what an outage says, and answers that are set by hand."""

import json
import threading

from app.login.jwks import Keys, Pace
from tests.login.identity import Reply, answer, refusal, rsa_jwk, rsa_key

FOR_EVER = 3600.0
QUICK = Pace(deadline=0.5, lifespan=FOR_EVER, cooldown=FOR_EVER, retry=FOR_EVER)
PATIENT = Pace(deadline=60)
NO_KEYS = (503, "auth_unavailable", "Logins cannot be checked at the moment. Please try again.", {"Retry-After": "5"})
SOON = 3.0
"""Far more than the deadline of `QUICK`, and far less than a test may take."""


def has(keys: Keys, kid: str | None, algorithm: str = "RS256") -> bool:
    return keys.find(kid, algorithm) is not None


def outage(keys: Keys) -> tuple[int, str, str, dict[str, str]]:
    """Return what a login is told for which there are no keys."""
    return refusal(lambda: keys.find("first", "RS256"))


def fetches() -> int:
    """Count the threads in which a key set is fetched."""
    return sum(thread.name.endswith("(_run)") for thread in threading.enumerate())


def good() -> bytes:
    return json.dumps({"keys": [rsa_jwk(rsa_key(), kid="first")]}).encode()


def body(data: bytes, status: int = 200, **headers: str) -> Reply:
    return lambda request: answer(request, data, status, **headers)
