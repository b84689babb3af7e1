"""`vault rotate`: everything gets the new key, whatever happens meanwhile, and nothing gets lost."""

import subprocess
import sys
import threading
from functools import partial
from itertools import count, takewhile

import pytest
from cryptography.fernet import Fernet

from app.store import profiles
from app.store.profiles import Profiles
from tests.processes import ROOT, environment_without
from tests.store.stores import FIRST, SECOND, THIRD, OpenStore, at_once, patiently, query, sealed

NAMES = [f"setting-{number:03}" for number in range(80)]
ROWS = "SELECT user_id, name, value, updated_at FROM settings ORDER BY user_id, name"


def test_all_values_get_the_first_key_and_a_second_run_is_idle(
    open_store: OpenStore, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiles, "BATCH", 50)
    values = {name: f"value of {name}" for name in NAMES}
    users = [f"user-{number}" for number in range(2)]
    for user in users:
        open_store(FIRST).profiles.add(user, values)
    open_store(SECOND).profiles.set("ada", "groq_api_key", "one")
    assert open_store(SECOND, FIRST).profiles.rotate() == (len(users) * len(NAMES), 1, 0)
    for value in sealed(database_url).values():
        Fernet(SECOND).decrypt(value)
    before = query(database_url, ROWS)
    assert len(before) == len(users) * len(NAMES) + 1
    assert open_store(SECOND, FIRST).profiles.rotate() == (0, len(before), 0)
    assert query(database_url, ROWS) == before
    only = open_store(SECOND).profiles
    assert [only.settings(user) for user in ("ada", *users)] == [{"groq_api_key": "one"}, *[values] * len(users)]


def test_what_no_key_fits_is_counted_and_left_as_it_is(open_store: OpenStore, database_url: str) -> None:
    open_store(FIRST).profiles.add("ada", {"a": "1", "c": "3"})
    open_store(SECOND).profiles.add("ada", {"b": "2", "d": "4"})
    query(database_url, "UPDATE settings SET value = 'in plain text' WHERE name = 'd'")
    before = sealed(database_url)
    assert open_store(THIRD, FIRST).profiles.rotate() == (2, 0, 2)
    assert open_store(THIRD, FIRST).profiles.rotate() == (0, 2, 2)
    after = sealed(database_url)
    assert [name for _, name in after if after["ada", name] == before["ada", name]] == ["b", "d"]
    found = open_store(THIRD, SECOND).profiles.settings("ada")
    assert [found[name] for name in "abc"] == ["1", "2", "3"]


def test_a_rotation_that_is_killed_goes_on_where_it_stopped(open_store: OpenStore, database_url: str) -> None:
    users = [f"user-{number}" for number in range(10)]
    serving = open_store(FIRST, SECOND).profiles
    for user in users:
        serving.add(user, dict.fromkeys(NAMES, "one"))
    before = sealed(database_url)
    environment = environment_without({"DATABASE_URL": database_url, "VAULT_KEYS": f"{SECOND},{FIRST}"})
    rotate = subprocess.Popen([sys.executable, "-m", "tests.store.rotating"], cwd=ROOT, env=environment)
    first = "SELECT value FROM settings WHERE user_id = 'user-0' AND name = 'setting-000'"
    while query(database_url, first) == [(before["user-0", "setting-000"],)]:
        assert rotate.poll() is None
    rotate.kill()
    assert rotate.wait() == -9
    done = sum(before[place] != value for place, value in sealed(database_url).items())
    assert 0 < done < len(before), "or it was not in the middle"
    assert open_store(SECOND, FIRST).profiles.rotate() == (len(before) - done, done, 0)
    assert [open_store(SECOND).profiles.settings(user) for user in users] == [dict.fromkeys(NAMES, "one")] * len(users)


def test_what_is_set_during_rotations_is_what_is_kept(open_store: OpenStore) -> None:
    """Each user is written by one process; from then on every process must read that, through all rotations.

    They go on until a hundred values have been encrypted anew meanwhile.
    """
    old, new = open_store(FIRST, SECOND).profiles, open_store(SECOND, FIRST).profiles
    last: dict[str, str] = {}
    written, renewed = threading.Event(), list[int]()

    def rotate() -> None:
        while not written.is_set():
            for store in (new, old):
                renewed.append(patiently(store.rotate).renewed)

    def write(serving: Profiles, *users: str) -> None:
        for number in takewhile(lambda _: sum(renewed) <= 100, count()):
            for user in users:
                last[user] = f"{user}-{number}"
                patiently(partial(serving.set, user, "groq_api_key", last[user]))
                assert serving.settings(user) == {"groq_api_key": last[user]}

    def serve() -> None:
        one, other = open_store(FIRST, SECOND).profiles, open_store(SECOND, FIRST).profiles
        try:
            at_once(lambda: write(one, "ada", "bob"), lambda: write(other, "eve", "flo"))
        finally:
            written.set()

    at_once(rotate, serve)
    assert old.rotate().locked == 0
    assert {user: open_store(FIRST).profiles.settings(user)["groq_api_key"] for user in last} == last
