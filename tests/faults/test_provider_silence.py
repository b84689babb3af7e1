"""Providers that stop talking, or talk without saying anything."""

import pytest

from tests.far import Peer, Script
from tests.far.scripts import ANSWER, CHUNKED, LAST, chunk, delta, sending, stop
from tests.faults import expect
from tests.faults.expect import Course
from tests.faults.sluice import COMMIT, FIRST_EVENT, IDLE, Sluice
from tests.machine import slack

LATE = 0.7
"""Seconds that a timeout may be late on a quiet machine."""

BEAT = b": still waiting\n\n"


def pinging(*parts: bytes) -> Script:
    """Send these, and then comments, until the service has enough of them."""

    def script(peer: Peer) -> None:
        peer.send(*parts)
        while not peer.wait(0.05):
            peer.send(chunk(b": ping\n\n"))

    return script


@pytest.mark.parametrize(
    ("script", "upstream"),
    [
        pytest.param(sending(), None, id="U6-no-headers"),
        pytest.param(sending(CHUNKED), 200, id="U7-no-event"),
        pytest.param(pinging(CHUNKED), 200, id="U9-comments-only"),
    ],
)
def test_a_provider_that_never_begins_is_waited_for_under_our_own_headers(
    hasty: Sluice, model: str, mode: str, script: Script, upstream: int | None
) -> None:
    """A second attempt would be a second bill."""
    seen = hasty.ask(model, mode, script)
    expect.broken(hasty, seen, "up_timeout", "", Course(upstream, window=(FIRST_EVENT, FIRST_EVENT + LATE)))
    assert COMMIT - 0.05 <= seen.first_at - seen.sent_at < COMMIT + LATE * slack()
    assert (seen.body.count(BEAT) >= 2) == (mode == "sse")


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(sending(CHUNKED, chunk(delta())), id="U8-stalls"),
        pytest.param(pinging(CHUNKED, chunk(delta())), id="U9-comments-after-text"),
        pytest.param(sending(CHUNKED, chunk(delta(), delta()[:30])), id="U8-stalls-within-an-event"),
    ],
)
def test_a_provider_that_stops_in_mid_answer_is_given_up(hasty: Sluice, model: str, mode: str, script: Script) -> None:
    seen = hasty.ask(model, mode, script)
    expect.broken(hasty, seen, "up_idle", ANSWER, Course(window=(IDLE, IDLE + LATE)))
    assert seen.first_at - seen.sent_at < IDLE * slack()
    assert (BEAT in seen.body) == (mode == "sse")


def test_u8_pauses_shorter_than_the_timeout_break_nothing(hasty: Sluice, model: str, mode: str) -> None:
    def pausing(peer: Peer) -> None:
        peer.send(CHUNKED)
        for _ in range(8):
            peer.send(chunk(delta()))
            peer.wait(IDLE / 5)
        peer.send(chunk(stop()), LAST)

    seen = hasty.ask(model, mode, pausing)
    expect.answer(hasty, seen, ANSWER * 8, Course(window=(IDLE * 1.6, IDLE * 1.6 + LATE)))
