"""The cache of what was read from the database: its TTL, what ends an entry at once, and its use in an outage."""

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import pytest

from app.failure import Code, Failure, Gone
from app.store import Store
from app.store import cache as module
from app.store.cache import FRESH_SECONDS, STALE_SECONDS, Cache
from app.store.database import DOWN_SECONDS, Database
from tests.processes import wait_for
from tests.store.stores import Clock, settings

LOCKED = Failure(Code.VAULT_LOCKED, "locked")


@dataclass
class Far:
    """What is behind the memory: a database, the answer of the moment, and how often it was asked for one."""

    folder: Path
    database: Database
    answer: object = "one"
    asked: int = 0

    def __call__(self) -> object:
        self.asked += 1
        self.database.check()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def stop(self) -> None:
        """Let the database be where nobody can use it."""
        self.database.close()
        self.folder.rename(f"{self.folder}-away")
        self.folder.touch()

    def start(self) -> None:
        self.folder.unlink()
        Path(f"{self.folder}-away").rename(self.folder)


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Far]:
    file = tmp_path / "folder" / "sluice.db"
    database = Store(settings(f"sqlite:///{file}")).database
    database.check()
    with closing(sqlite3.connect(file)) as other:  # without which SQLite would remove its log with every `stop`
        other.execute("SELECT * FROM profiles")
        yield Far(file.parent, database)


@pytest.fixture
def memory(far: Far, clock: Clock) -> Cache[object]:
    return Cache(far.database)


def test_what_was_read_is_remembered_for_ten_seconds(memory: Cache[object], far: Far, clock: Clock) -> None:
    assert FRESH_SECONDS == 10
    assert memory.get("ada", far) == "one"
    far.answer = "two"
    clock.now += FRESH_SECONDS - 0.01
    assert (memory.get("ada", far), far.asked) == ("one", 1)
    clock.now += 0.02
    assert (memory.get("ada", far), far.asked) == ("two", 2)
    clock.now += FRESH_SECONDS - 0.01
    assert (memory.get("ada", far), far.asked) == ("two", 2)


def test_the_ten_seconds_begin_with_the_question(memory: Cache[object], far: Far, clock: Clock) -> None:
    """A slow answer tells of the time when it was asked for."""

    def slow() -> object:
        clock.now += 3
        return far()

    memory.get("ada", slow)
    clock.now += FRESH_SECONDS - 2
    memory.get("ada", far)
    assert far.asked == 2


def test_nothing_is_remembered_for_somebody_else(memory: Cache[object], far: Far) -> None:
    memory.get("ada", far)
    far.answer = "bob's"
    assert memory.get("bob", far) == "bob's"
    assert memory.get("ada", far) == "one"


def test_what_was_forgotten_is_asked_for_again(memory: Cache[object], far: Far) -> None:
    memory.get("ada", far)
    far.answer = "two"
    memory.forget("ada")
    assert memory.get("ada", far) == "two"
    memory.forget("nobody")
    assert memory.get("ada", far) == "two"


def test_what_changes_while_it_is_read_is_not_remembered(memory: Cache[object], far: Far) -> None:
    def changing() -> object:
        old = far()
        far.answer = "two"
        memory.forget("ada")
        return old

    assert memory.get("ada", changing) == "one"
    assert memory.get("ada", far) == "two"


def test_a_value_written_by_others_during_a_read_is_read_again(memory: Cache[object], far: Far) -> None:
    """And so is what it writes later."""
    other = Store(settings(f"sqlite:///{far.folder}/sluice.db")).profiles

    def changing() -> object:
        old = far()
        far.answer = "two"
        other.set("ada", "groq_api_key", "two")
        return old

    assert memory.get("ada", changing) == "one"
    assert [memory.get("ada", far) for _ in range(3)] == ["two"] * 3
    assert far.asked == 2
    other.unset("ada", "groq_api_key")
    memory.get("ada", far)
    assert far.asked == 3


def is_waiting(thread: Thread) -> bool:
    return bool(thread.ident and sys._current_frames()[thread.ident].f_code.co_name == "wait")  # noqa: SLF001 - public


@contextmanager
def crowd(memory: Cache[object], read: Callable[[], object], size: int = 20) -> Iterator[list[object]]:
    """Have a crowd ask for the same, all of them waiting until the block ends; yield what they will have got."""
    found: list[object] = []

    def ask() -> None:
        try:
            found.append(memory.get("ada", read))
        except (Failure, LookupError) as error:
            found.append(error)

    threads = [Thread(target=ask, daemon=True) for _ in range(size)]
    for thread in threads:
        thread.start()
    wait_for(lambda: all(map(is_waiting, threads)))
    yield found
    for thread in threads:
        thread.join(5)
    assert len(found) == size


@dataclass
class Slow:
    """A reading that takes as long as the test wants."""

    far: Far
    may_end: Event = field(default_factory=Event)

    def __call__(self) -> object:
        self.far.asked += 1
        self.may_end.wait(10)
        if isinstance(self.far.answer, Exception):
            raise self.far.answer
        return self.far.answer


@pytest.mark.parametrize("answer", ["one", None, LOCKED, LookupError("nobody")])
def test_a_crowd_that_wants_the_same_asks_once(memory: Cache[object], far: Far, answer: object) -> None:
    slow = Slow(far)
    far.answer = answer
    with crowd(memory, slow) as found:
        slow.may_end.set()
    assert (found, far.asked) == ([answer] * 20, 1)


def test_who_was_interrupted_while_reading_leaves_it_to_another(memory: Cache[object], far: Far) -> None:
    slow, interrupted = Slow(far), Event()

    def interrupt() -> object:
        interrupted.wait(10)
        raise Gone

    first = Thread(target=lambda: suppressed(memory, interrupt), daemon=True)
    first.start()
    wait_for(lambda: is_waiting(first))
    with crowd(memory, slow) as found:
        assert far.asked == 0
        interrupted.set()
        wait_for(lambda: far.asked == 1)
        slow.may_end.set()
    assert (found, far.asked) == (["one"] * 20, 1)


def suppressed(memory: Cache[object], read: Callable[[], object]) -> None:
    with suppress(Gone):
        memory.get("ada", read)


def test_a_read_after_a_change_shares_no_earlier_result(memory: Cache[object], far: Far) -> None:
    """Whoever made the change: this process, or another."""
    other = Store(settings(f"sqlite:///{far.folder}/sluice.db")).profiles
    for change in (memory.forget, lambda user: other.set(user, "groq_api_key", "two")):
        memory.forget("ada")
        slow = Slow(far)
        with crowd(memory, slow) as found:
            change("ada")
            assert memory.get("ada", lambda: "two") == "two"
            slow.may_end.set()
        assert found == ["one"] * 20
        assert memory.get("ada", far) == "two"


def test_in_an_outage_cached_values_serve_for_five_minutes(memory: Cache[object], far: Far, clock: Clock) -> None:
    assert STALE_SECONDS == 300
    memory.get("ada", far)
    far.stop()
    for _ in range(STALE_SECONDS - 1):
        clock.now += 1
        assert memory.get("ada", far) == "one"
    with pytest.raises(Failure) as failure:
        memory.get("bob", far)
    assert failure.value.code == "db_unavailable"
    clock.now += 1.01
    with pytest.raises(Failure):
        memory.get("ada", far)


def test_an_outage_is_probed_every_other_second_at_most(memory: Cache[object], far: Far, clock: Clock) -> None:
    memory.get("ada", far)
    memory.get("bob", far)
    far.stop()
    far.asked = 0
    clock.now += FRESH_SECONDS
    for _ in range(1000):
        clock.now += 0.01
        memory.get("ada", far)
        memory.get("bob", far)
    assert far.asked == 10 / DOWN_SECONDS
    far.start()
    far.answer = "two"
    clock.now += DOWN_SECONDS
    assert (memory.get("ada", far), memory.get("bob", far)) == ("two", "two")


def test_a_change_is_seen_right_after_an_outage_too(memory: Cache[object], far: Far, clock: Clock) -> None:
    memory.get("ada", far)
    far.stop()
    clock.now += FRESH_SECONDS
    memory.get("ada", far)
    far.start()
    far.answer = "two"
    memory.forget("ada")
    assert memory.get("ada", far) == "two"


def test_what_was_changed_is_not_served_as_it_was_in_an_outage(memory: Cache[object], far: Far) -> None:
    memory.get("ada", far)
    memory.forget("ada")
    far.stop()
    with pytest.raises(Failure):
        memory.get("ada", far)


def test_only_an_outage_is_bridged(memory: Cache[object], far: Far, clock: Clock) -> None:
    memory.get("ada", far)
    clock.now += FRESH_SECONDS
    far.answer = LOCKED
    with pytest.raises(Failure) as failure:
        memory.get("ada", far)
    assert failure.value is LOCKED


def test_a_deleted_value_does_not_come_back_in_an_outage(memory: Cache[object], far: Far, clock: Clock) -> None:
    memory.get("ada", far)
    far.answer = LookupError()
    clock.now += FRESH_SECONDS
    for _ in range(2):
        with pytest.raises(LookupError):
            memory.get("ada", far)
    assert far.asked == 3
    far.stop()
    with pytest.raises(Failure):
        memory.get("ada", far)
    assert not memory.knows("ada")


def test_the_memory_is_bounded_and_keeps_what_was_read_last(
    memory: Cache[object], far: Far, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr(module, "MAX_ENTRIES", 3)
    for user in ("ada", "bob", "eve"):
        memory.get(user, far)
    clock.now += FRESH_SECONDS
    memory.get("ada", far)
    for user in ("flo", "gus"):
        memory.get(user, far)
    assert [user for user in ("ada", "bob", "eve", "flo", "gus") if memory.knows(user)] == ["ada", "flo", "gus"]
