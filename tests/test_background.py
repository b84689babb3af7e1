"""The rules of the thread beside the requests."""

from collections.abc import Callable, Iterator
from threading import Event, Thread, current_thread, stack_size
from threading import enumerate as threads

import pytest

from app.background import Background
from tests.processes import printed, wait_for

SECONDS = 30


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threads())
    yield
    wait_for(lambda: set(threads()) <= before)


class Steps:
    """Work that says when it begins, and ends when it is told."""

    def __init__(self) -> None:
        self.threads: list[Thread] = []
        self.begun, self.go_on = Event(), Event()

    def __call__(self) -> None:
        self.threads.append(current_thread())
        self.begun.set()
        assert self.go_on.wait(SECONDS)

    def wait(self) -> None:
        assert self.begun.wait(SECONDS)
        self.begun.clear()


def ended(background: Background) -> Callable[[], bool]:
    return lambda: not background.is_running


def test_the_thread_runs_only_while_there_is_work() -> None:
    work = Steps()
    background = Background(work)
    assert ended(background)()
    assert background.wake()
    work.wait()
    assert not ended(background)()
    assert work.threads[0].daemon
    work.go_on.set()
    wait_for(ended(background))
    assert len(work.threads) == 1


def test_work_that_is_woken_meanwhile_is_done_once_more() -> None:
    work = Steps()
    background = Background(work)
    assert background.wake()
    work.wait()
    assert [background.wake() for _ in range(3)] == [True] * 3
    work.go_on.set()
    wait_for(ended(background))
    assert len(work.threads) == 2
    assert len(set(work.threads)) == 1


def test_a_thread_that_has_ended_is_started_again() -> None:
    work = Steps()
    work.go_on.set()
    background = Background(work)
    for count in (1, 2):
        assert background.wake()
        wait_for(ended(background))
        assert len(work.threads) == count


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_ends_the_thread_and_the_next_one_works() -> None:
    outcomes = [ValueError("the first fails"), None]

    def work() -> None:
        if error := outcomes.pop(0):
            raise error

    background = Background(work)
    for left in (1, 0):
        assert background.wake()
        wait_for(ended(background))
        assert len(outcomes) == left


def test_a_thread_that_cannot_be_started_is_tried_again() -> None:
    work = Steps()
    work.go_on.set()
    background = Background(work)
    before = stack_size(2**45)
    try:
        assert not background.wake()
        assert ended(background)()
    finally:
        stack_size(before)
    assert background.wake()
    wait_for(ended(background))
    assert len(work.threads) == 1


@pytest.mark.parametrize("is_patched", [False, True], ids=["threads", "gevent"])
def test_a_forked_process_starts_a_thread_of_its_own(*, is_patched: bool) -> None:
    assert printed("tests.forked", is_patched=is_patched).splitlines() == ["False True True", "True"]
