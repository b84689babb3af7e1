"""The work of `bin/bench --lookup`, in a process that gevent has patched, as the server's workers are.

`python -m gevent.monkey --module bench.lookup_worker ROUNDS REQUESTS DATABASE` prints, as JSON, the microseconds of CPU
of each round by the name of what it did.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from secrets import token_hex

import jwt
from flask import Request
from werkzeug.test import EnvironBuilder

from app.config import Settings
from app.limits import Limiter
from app.login import Login, claims
from app.store import Store, cache

_SECRET = token_hex(32)
_KEYS = ("openai_api_key", "openai_organization_id", "groq_api_key", "mistral_api_key", "azure_openai_api_key")
_FRESH_SECONDS = {"remembered": 10, "not remembered": 0}


def main(rounds: int, requests: int, database: str) -> None:
    """Measure, and print."""
    found = {"the limits, counted in the process": [*_rounds(_count(), rounds, requests)]}
    settings = Settings(database_url=database, auth_jwt_secret=_SECRET, auth_jwt_audience="a", auth_jwt_issuer="i")
    store = Store(settings)
    login = Login(settings, store, None)
    _, token = store.tokens.create("alice")
    for name in _KEYS:
        store.profiles.set("alice", name, "sk-" + "x" * 160)
    signed = jwt.encode({"sub": "alice", "aud": "a", "iss": "i", "exp": time.time() + 3600}, _SECRET)
    for kind, fresh in _FRESH_SECONDS.items():
        cache.FRESH_SECONDS = claims.CACHE_SECONDS = fresh
        for name, credential in (("bearer token", token), ("JWT, HS256", signed)):
            look_up = _look_up(login, store, credential)
            found[f"{name}, {kind}"] = [*_rounds(look_up, rounds, requests)]
    print(json.dumps(found))


def _count() -> Callable[[], None]:
    """Return what counts one request of one of a hundred users."""
    limiter, users = Limiter(Settings(rate_limit="1000000/minute")), cycle(map(str, range(100)))

    def count() -> None:
        user = next(users)
        limiter.hit(user)
        with limiter.slot(user):
            pass

    return count


def _look_up(login: Login, store: Store, credential: str) -> Callable[[], None]:
    """Return what finds out who asks, and with which key."""
    environ = EnvironBuilder("/api/chat/openai", method="POST").get_environ()

    def look_up() -> None:
        request = Request({**environ, "HTTP_AUTHORIZATION": f"Bearer {credential}"})
        assert store.profiles.settings(login.user(request))["openai_api_key"]  # noqa: S101 - a look-up that finds nothing would be cheap

    return look_up


def _rounds(work: Callable[[], None], rounds: int, requests: int) -> Iterator[float]:
    work()
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(requests):
            work()
        yield (time.process_time() - began) / requests * 1e6


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
