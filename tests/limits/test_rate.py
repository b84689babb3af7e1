"""How often a user may ask."""

import traceback
from pathlib import Path
from time import monotonic, sleep

import limits
import pytest

from app.config import SettingError, Settings
from app.failure import Failure
from app.limits import Limiter, rate
from app.limits.local import MAX_USERS, Window

from .conftest import Make
from .limiters import hits, printed, refused

pytestmark = pytest.mark.usefixtures("_patient")

STRANGE = [
    *("", " ", "a", "A", "a/b", "a:b", "a%2Fb", "a%3Ab", "a\nb", "a\r\nb", "a\0", "a\0b", "a b", "a*", "{a}"),
    "a/60/1/minute",
    *("\u00e4", "a\u0308", "\ud800", "\udc80", "\U0001f600", "a" * 10_000, "a" * 10_001, "'; FLUSHALL", "..", "${a}"),
]  # fmt: skip


def test_a_user_may_ask_so_often_in_a_time(make: Make, url: str) -> None:
    limiter = make(url, rate_limit="3/minute")
    for _ in range(3):
        limiter.hit("user")
    assert 58 <= refused(lambda: limiter.hit("user")) <= 60
    limiter.hit("other")


def test_the_sentence_says_when_to_try_again(make: Make, url: str) -> None:
    minute, second = make(url, rate_limit="1/minute"), make(url, rate_limit="1/second")
    minute.hit("user")
    with pytest.raises(Failure, match=r"^You have asked too often\. Please try again in (5\d|60) seconds\.$"):
        minute.hit("user")
    second.hit("user")
    with pytest.raises(Failure, match=r"^You have asked too often\. Please try again in 1 second\.$"):
        second.hit("user")


def test_the_time_moves_on_with_each_request(make: Make, url: str) -> None:
    """Two in four seconds, one of them late: when the first is four seconds old, there is room for one, not for two."""
    limiter = make(url, rate_limit="2/4 seconds")
    limiter.hit("user")
    sleep(2.5)
    limiter.hit("user")
    assert refused(lambda: limiter.hit("user")) in {1, 2}
    sleep(1.7)
    assert hits(limiter) == 1


def test_there_is_room_after_retry_after_for_one_who_kept_asking(make: Make, url: str) -> None:
    limiter = make(url, rate_limit="1/2 seconds")
    limiter.hit("user")
    until = monotonic() + refused(lambda: limiter.hit("user"))
    while monotonic() < until - 0.7:
        refused(lambda: limiter.hit("user"))
        sleep(0.05)
    sleep(max(until - monotonic(), 0))
    limiter.hit("user")


def test_no_two_users_are_counted_as_one_whatever_their_ids_are(make: Make, url: str) -> None:
    limiter = make(url, rate_limit="1/minute", max_streams_per_user=1)
    for user in STRANGE:
        limiter.hit(user)
        with limiter.slot(user):
            refused(limiter.slot(user).__enter__)
    for user in STRANGE:
        refused(lambda user=user: limiter.hit(user))  # type: ignore[misc]
    assert limiter.fallbacks == 0


def test_processes_count_together_in_redis(make: Make, redis_url: str) -> None:
    one, other = make(redis_url, rate_limit="5/minute"), make(redis_url, rate_limit="5/minute")
    assert (one.shared, other.shared) == (True, True)
    one.hit("user")
    other.hit("user")
    assert hits(one) == 3
    assert refused(lambda: other.hit("user")) > 55
    assert hits(other, "another user") == 5


def test_processes_count_alone_without_redis(make: Make) -> None:
    one, other = make("", rate_limit="5/minute"), make("", rate_limit="5/minute")
    assert (hits(one), hits(other)) == (5, 5)
    assert (one.shared, one.fallbacks) == (False, 0)


def test_what_redis_refused_takes_no_room_here(make: Make, redis_url: str) -> None:
    one, other = make(redis_url, rate_limit="2/2 seconds"), make(redis_url, rate_limit="2/2 seconds")
    assert hits(one) == 2
    for _ in range(5):
        refused(lambda: other.hit("user"))
    sleep(2.1)
    assert hits(other) == 2


@pytest.mark.parametrize(
    "text", ["", "60", "0/minute", "-1/minute", "60/fortnight", "1/second;2/minute", "1/second, 2/day"]
)
def test_a_rate_that_is_none_is_refused_by_name(text: str) -> None:
    with pytest.raises(SettingError, match=r"^RATE_LIMIT must be a number of requests in a time, like 60/minute, not "):
        Limiter(Settings(rate_limit=text))


@pytest.mark.parametrize(
    "text", [f"{9**30}/second", "1000001/hour", f"1/{9**30} days", "1/2 years", "9" * 5000 + "/day"]
)
def test_a_rate_too_large_to_count_is_refused_by_name(text: str) -> None:
    with pytest.raises(SettingError, match=r"^RATE_LIMIT "):
        Limiter(Settings(rate_limit=text))


@pytest.mark.parametrize(
    "text",
    [
        *("60/minute", "60 per minute", "1/second", " 5 / 10 seconds ", "1000000/hour", "1/year", "3 per 2 hour"),
        *("7/0 day", "007/DAYS\n", "1per month", "2 PER12months"),
    ],
)
def test_a_rate_is_written_as_the_library_writes_it(text: str) -> None:
    library = limits.parse(text)
    assert rate(text) == (library.amount, library.get_expiry())
    Limiter(Settings(rate_limit=text)).hit("user")


LOADED = """
import sys, wsgi
print(*sorted({"limits", "redis"} & {*sys.modules}))
"""


def test_redis_is_loaded_only_where_it_is_used(tmp_path: Path) -> None:
    def loaded(url: str) -> str:
        set_url = f"import os\nos.environ |= {{'REDIS_URL': {url!r}, 'DATABASE_URL': 'sqlite:///{tmp_path}/sluice.db'}}"
        return printed(set_url + LOADED, url)[-1]

    assert loaded("") == ""
    assert loaded("redis://127.0.0.1:1") == "limits redis"


@pytest.mark.parametrize(
    "url",
    [
        *("localhost", "localhost:6379", "//:s3cret@localhost", "http://:s3cret@localhost", "unix:///s3cret"),
        *("redis://", "redis://:s3cret@", "redis://:s3cret@localhost:port", "redis://:s3cret#@localhost:6379"),
        *("redis://:s3cret@[::1", "redis://:s3cret@localhost:99999", "redis://:s3cret\u2100@localhost"),
        *("redis://:s3cret@localhost?s3cret=1", "redis://:s3cret@localhost?socket_timeout=s3cret"),
        "rediss://:s3cret@localhost?ssl_cert_reqs=s3cret",
    ],
)
def test_an_invalid_redis_url_is_refused_by_name_and_not_shown(url: str) -> None:
    with pytest.raises(SettingError, match=r"^REDIS_URL must be an address like ") as error:
        Limiter(Settings(redis_url=url))
    assert "s3cret" not in "".join(traceback.format_exception(error.value, limit=0))


def test_nothing_is_connected_before_it_is_needed() -> None:
    limiter = Limiter(Settings(redis_url="redis://nowhere.invalid"))
    assert limiter.fallbacks == 0


def test_who_asks_no_more_is_forgotten() -> None:
    window = Window(2, 60)
    for number in range(10_000):
        assert window.take(f"{number}", number / 100) == 0
    assert len(window) <= 6_001
    for number in range(10_000):
        assert window.take("one", 1_000 + number * 40) == 0
    assert len(window) == 1


def test_only_the_latest_users_are_remembered() -> None:
    window = Window(2, 60)
    for number in range(MAX_USERS + 1_000):
        window.take(f"{number}", 0)
    assert len(window) == MAX_USERS
