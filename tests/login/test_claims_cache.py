"""How long a valid token is not verified again."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, tzinfo
from time import monotonic, time

import pytest

from app.failure import Failure
from app.login import claims as module
from app.login.claims import CACHE_SECONDS, Claims
from tests.login.identity import (
    UNAUTHORIZED,
    hs256,
    token,
)
from tests.login.verifiers import told, with_secret
from tests.processes import wait_for

HOUR = 3600


def ended(seconds: float) -> int:
    return int(time() - seconds)


class Clock:
    """The clocks, for the verifier and for PyJWT, moved by so many seconds."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.wall = self.steady = 0.0
        patch.setattr(module, "time", lambda: time() + self.wall)
        patch.setattr(module, "monotonic", lambda: monotonic() + self.steady)
        clock = self

        class Now(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
                return datetime.fromtimestamp(time() + clock.wall, tz)

        patch.setattr("jwt.api_jwt.datetime", Now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_a_cached_token_ends_in_time(clock: Clock) -> None:
    checked, good = with_secret(), token(exp=int(time()) + 5)
    assert checked.user(good) == "alice"
    clock.wall = clock.steady = 5 + module.LEEWAY_SECONDS + 0.1
    assert told(checked, good) == UNAUTHORIZED


def test_a_clock_set_forward_ends_a_cached_token(clock: Clock) -> None:
    checked, good = with_secret(), token(exp=int(time()) + 60)
    assert checked.user(good) == "alice"
    clock.wall = HOUR
    assert told(checked, good) == UNAUTHORIZED


def test_a_clock_set_back_does_not_prolong_a_cached_token(monkeypatch: pytest.MonkeyPatch) -> None:
    checked, good = with_secret(), token(exp=ended(module.LEEWAY_SECONDS - 2))
    assert checked.user(good) == "alice"
    monkeypatch.setattr(module, "time", lambda: time() - HOUR)
    wait_for(lambda: not is_good(checked, good))


def is_good(checked: Claims, text: str) -> bool:
    try:
        return bool(checked.user(text))
    except Failure:
        return False


def test_a_token_is_verified_again_after_ten_seconds(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    checked, good = with_secret(), token()
    assert checked.user(good) == "alice"
    monkeypatch.setattr(checked, "_secret", "another secret, of an operator in a hurry")
    clock.steady = CACHE_SECONDS - 1
    assert checked.user(good) == "alice"
    clock.steady = CACHE_SECONDS
    assert told(checked, good) == UNAUTHORIZED


def test_the_cache_is_bounded_and_holds_no_token(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CACHED", 20)
    checked = with_secret()
    remembered = checked._cache._users  # noqa: SLF001 - what it costs cannot be seen from outside
    for number in range(100):
        assert checked.user(token(sub=f"user-{number}")) == f"user-{number}"
        assert len(remembered) <= 20
    assert all(len(digest) == 32 for digest in remembered)
    assert {user for user, _, _ in remembered.values()} >= {f"user-{number}" for number in range(85, 100)}
    clock.steady = CACHE_SECONDS + 1
    for number in range(10):
        checked.user(token(sub=f"later-{number}"))
    assert {user for user, _, _ in remembered.values()} == {f"later-{number}" for number in range(10)}


def test_a_refusal_is_not_cached_as_a_user() -> None:
    checked, bad = with_secret(), token(hs256("somebody else's secret, as long as it has to be"))
    for _ in range(3):
        assert told(checked, bad) == UNAUTHORIZED
    assert checked.user(token()) == "alice"


def test_many_threads_may_share_the_cache(both: Claims, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CACHED", 10)
    texts = [token(sub=f"user-{number}") for number in range(40)]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(both.user, texts * 25))
    assert found == [f"user-{number}" for number in range(40)] * 25
