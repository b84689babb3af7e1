"""Connections that are kept for a next request, and are dead when it comes."""

import pytest

from tests.far import Far, Script
from tests.far.scripts import ANSWER, CHUNKED, chunk, closing, delta, ok, replying, resetting
from tests.faults import expect
from tests.faults.expect import Course
from tests.faults.sluice import Sluice, environment, start
from tests.machine import slack
from tests.processes import Processes


@pytest.fixture
def kept(sluice: Sluice, far: Far, model: str) -> None:
    """A connection that is kept after a whole answer, and used for the next request."""
    for number in (1, 2):
        expect.answer(sluice, sluice.ask(f"{model}-kept-{number}", "text", ok), ANSWER)
    (first,), (second,) = far.asked(f"{model}-kept-1"), far.asked(f"{model}-kept-2")
    assert first.line is second.line


@pytest.mark.usefixtures("kept")
def test_u51_a_connection_closed_while_it_was_idle_is_noticed(sluice: Sluice, far: Far, model: str, mode: str) -> None:
    far.hang_up()
    seen = sluice.ask(model, mode, ok)
    expect.answer(sluice, seen, ANSWER)
    (asked,), (before,) = far.asked(model), far.asked(f"{model}-kept-2")
    assert asked.line is not before.line
    assert before.wait_closed(slack())


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    "dies", [pytest.param(resetting(), id="U51-U10-rst"), pytest.param(closing(), id="U51-U11-fin")]
)
def test_a_kept_connection_that_dies_of_the_next_request_is_replaced_once(
    sluice: Sluice, far: Far, model: str, mode: str, dies: Script
) -> None:
    seen = sluice.ask(model, mode, dies, ok)
    expect.answer(sluice, seen, ANSWER, Course(200, 2, 2))
    first, second = far.asked(model)
    assert first.line is not second.line
    assert first.body == second.body


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    "dies", [pytest.param(resetting(), id="U51-U10-rst"), pytest.param(closing(), id="U51-U11-fin")]
)
def test_a_connection_is_not_replaced_twice(sluice: Sluice, model: str, mode: str, dies: Script) -> None:
    seen = sluice.ask(model, mode, dies)
    expect.refusal(sluice, seen, 500, "up_reset", Course(None, 2, 2))


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    "dies",
    [
        pytest.param(resetting(b"HTTP/1.1 2"), id="U51-U10-rst-after-a-byte"),
        pytest.param(closing(b"HTTP/1.1 2"), id="U51-U11-fin-after-a-byte"),
    ],
)
def test_a_kept_connection_that_has_begun_to_answer_is_not_replaced(
    sluice: Sluice, model: str, mode: str, dies: Script
) -> None:
    """The provider has the question, and may have begun to bill."""
    seen = sluice.ask(model, mode, dies, ok)
    expect.refusal(sluice, seen, 500, "up_reset", Course(None))


@pytest.mark.usefixtures("kept")
def test_u51_an_answer_that_breaks_on_a_kept_connection_is_not_asked_for_again(
    sluice: Sluice, model: str, mode: str
) -> None:
    seen = sluice.ask(model, mode, resetting(CHUNKED, chunk(delta())), ok)
    expect.broken(sluice, seen, "up_reset", ANSWER)


BUSY = replying(429, b'{"error": {"message": "I am busy."}}', "Retry-After: 0")


@pytest.mark.usefixtures("kept")
def test_u51_a_replaced_connection_was_the_second_attempt(sluice: Sluice, model: str, mode: str) -> None:
    seen = sluice.ask(model, mode, resetting(), BUSY, ok)
    expect.refusal(sluice, seen, 429, "provider_rate_limited", Course(429, 2, 2))


def test_u51_a_second_attempt_is_not_replaced(sluice: Sluice, far: Far, model: str, mode: str) -> None:
    """It goes over the connection on which the first one was told to come again."""
    seen = sluice.ask(model, mode, BUSY, resetting(), ok)
    first, second, *others = far.asked(model)
    assert first.line is second.line
    assert others == []
    expect.refusal(sluice, seen, 500, "up_reset", Course(None, 2, 2))


@pytest.fixture(scope="module")
def named(processes: Processes, far: Far) -> Sluice:
    """A service that knows its provider by a name, which is looked up for each connection."""
    by_name = far.url.replace("127.0.0.1", "localhost")
    started = start(processes, far, environment(far, OPENAI_BASE_URL=by_name))
    expect.answer(started, started.ask("warm by name", "text", ok), ANSWER)
    started.calm()
    return started


@pytest.mark.parametrize("dies", [pytest.param(resetting(), id="U51-rst"), pytest.param(closing(), id="U51-fin")])
def test_a_kept_connection_to_a_name_is_replaced_no_later(
    named: Sluice, far: Far, model: str, mode: str, dies: Script
) -> None:
    """The look-up waits for a socket that gets the number of the dead one."""
    expect.answer(named, named.ask(f"{model}-kept", "text", ok), ANSWER)
    seen = named.ask(model, mode, dies, ok)
    expect.answer(named, seen, ANSWER, Course(200, 2, 2))
    (kept,), (first, second) = far.asked(f"{model}-kept"), far.asked(model)
    assert kept.line is first.line
    assert first.line is not second.line
    named.assert_calm()
