"""Ends of answers: which are the provider's own, and which are cuts that must not look like one."""

import pytest

from tests.far import Peer, Script
from tests.far.scripts import (
    ANSWER,
    CHUNKED,
    DONE,
    EVENTS,
    LAST,
    UNFRAMED,
    chunk,
    closing,
    delta,
    event,
    replying,
    resetting,
    sending,
    stop,
    streaming,
)
from tests.faults import expect
from tests.faults.expect import Course
from tests.faults.sluice import SOON, Sluice
from tests.machine import slack

HALF = delta()[:20]
FULL = delta() + stop() + DONE
HALVES = [event(choices=[{"delta": {"content": half}, "finish_reason": "stop"}]) for half in (ANSWER[:9], ANSWER[9:])]
UNKNOWN = event(oh="no")
PAUSE = 2.2
"""Seconds for which nothing comes behind a finish reason."""


def announced(length: int, body: bytes) -> bytes:
    """Write a response that announces this length, whatever its body's is."""
    return EVENTS + b"Content-Length: %d\r\n\r\n" % length + body


@pytest.mark.parametrize(
    ("script", "code", "upstream"),
    [
        pytest.param(resetting(), "up_reset", None, id="U10-rst-before-headers"),
        pytest.param(resetting(b"HTTP/1.1 200 OK\r\nContent-"), "up_reset", None, id="U10-rst-within-headers"),
        pytest.param(closing(), "up_reset", None, id="U11-fin-before-headers"),
        pytest.param(closing(b"HTTP/1.1 200 OK\r\nContent-"), "up_reset", None, id="U11-fin-within-headers"),
        pytest.param(resetting(CHUNKED), "up_reset", 200, id="U12-rst-before-an-event"),
        pytest.param(closing(CHUNKED), "up_truncated", 200, id="U13-fin-before-an-event"),
        pytest.param(closing(UNFRAMED), "up_empty", 200, id="U14-unframed-and-empty"),
        pytest.param(streaming(HALF), "up_truncated", 200, id="U18-half-an-event"),
        pytest.param(streaming(delta("")), "up_truncated", 200, id="U15-an-event-without-text"),
        pytest.param(streaming(DONE), "up_empty", 200, id="U16-an-end-marker-alone"),
        pytest.param(streaming(event(choices=[], usage={"a": 1}), DONE), "up_empty", 200, id="U16-a-usage-alone"),
        pytest.param(streaming(stop("abort"), DONE), "provider_error", 200, id="U44-aborted"),
    ],
)
def test_an_answer_cut_before_its_text_is_an_error(
    sluice: Sluice, model: str, mode: str, script: Script, code: str, upstream: int | None
) -> None:
    """Over a new connection there is no second attempt: the provider may have begun to work, and to bill."""
    seen = sluice.ask(model, mode, script)
    expect.refusal(sluice, seen, 500, code, Course(upstream))


@pytest.mark.parametrize(
    ("script", "code"),
    [
        pytest.param(resetting(CHUNKED, chunk(delta())), "up_reset", id="U12-rst"),
        pytest.param(closing(CHUNKED, chunk(delta()), b"64\r\ndata: {"), "up_truncated", id="U13-fin-in-a-chunk"),
        pytest.param(closing(CHUNKED, chunk(delta())), "up_truncated", id="U13-fin-between-chunks"),
        pytest.param(closing(UNFRAMED, delta()), "up_truncated", id="U14-fin-of-an-unframed-body"),
        pytest.param(streaming(delta()), "up_truncated", id="U15-no-end-marker"),
        pytest.param(streaming(delta(), HALF), "up_truncated", id="U18-half-an-event"),
        pytest.param(streaming(delta(), DONE.strip()), "up_truncated", id="U18-half-an-end-marker"),
        pytest.param(closing(b"HTTP/1.0 200 OK\r\n\r\n", delta()), "up_truncated", id="U47-http-1.0"),
        pytest.param(closing(CHUNKED, chunk(*HALVES)), "up_truncated", id="U17-a-reason-in-every-chunk"),
        pytest.param(resetting(CHUNKED, chunk(delta(), stop())), "up_reset", id="U17-rst-behind-the-reason"),
        pytest.param(streaming(stop(), delta()), "up_truncated", id="U17-text-behind-the-reason"),
        pytest.param(streaming(delta(), stop("network_error"), DONE), "provider_error", id="U44-a-reason-that-is-none"),
        pytest.param(streaming(delta(), UNKNOWN, DONE), "up_truncated", id="U44-an-event-that-nobody-knows"),
        pytest.param(streaming(delta(), b"event: error\ndata: x\n\n", DONE), "provider_error", id="U45-by-its-name"),
        pytest.param(streaming(delta(), b'error: {"a":1}\n\n', DONE), "provider_error", id="U44-an-error-line"),
        pytest.param(closing(announced(9999, delta())), "up_truncated", id="U49-announced-too-much"),
        pytest.param(sending(announced(len(delta()), FULL)), "up_truncated", id="U49-announced-too-little"),
    ],
)
def test_a_cut_answer_never_looks_finished(sluice: Sluice, model: str, mode: str, script: Script, code: str) -> None:
    seen = sluice.ask(model, mode, script)
    expect.broken(sluice, seen, code, ANSWER)


def test_u17_a_reason_behind_which_nothing_comes_is_no_end(hasty: Sluice, model: str, mode: str) -> None:
    seen = hasty.ask(model, mode, sending(CHUNKED, chunk(delta(), stop())))
    expect.broken(hasty, seen, "up_idle", ANSWER)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        pytest.param(streaming(delta(), DONE), "unknown", id="U16-no-finish-reason"),
        pytest.param(streaming(delta(), stop()), "stop", id="U17-no-end-marker"),
        pytest.param(closing(UNFRAMED, delta(), stop()), "stop", id="U17-no-end-marker-unframed"),
        pytest.param(closing(b"HTTP/1.0 200 OK\r\n\r\n", FULL), "stop", id="U47-http-1.0"),
        pytest.param(closing(announced(9999, FULL)), "stop", id="U49-announced-too-much"),
        pytest.param(sending(announced(len(FULL) - len(DONE), FULL)), "stop", id="U49-announced-too-little"),
        pytest.param(resetting(CHUNKED, chunk(FULL)), "stop", id="U12-rst-after-the-end"),
    ],
)
def test_an_answer_that_its_provider_has_ended_is_whole(
    sluice: Sluice, model: str, mode: str, script: Script, reason: str
) -> None:
    seen = sluice.ask(model, mode, script)
    expect.answer(sluice, seen, ANSWER, reason=reason)


def test_u17_text_behind_a_reason_and_a_pause_is_told(sluice: Sluice, model: str, mode: str) -> None:
    def pausing(peer: Peer) -> None:
        peer.send(CHUNKED, chunk(stop()))
        peer.wait(PAUSE)
        peer.send(chunk(delta(), DONE), LAST)

    seen = sluice.ask(model, mode, pausing)
    expect.answer(sluice, seen, ANSWER, Course(window=(PAUSE, PAUSE + SOON)), reason="unknown")


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(streaming(FULL, delta("EVIL")), id="U19-more-text"),
        pytest.param(streaming(FULL + delta("EVIL")), id="U19-more-text-at-once"),
        pytest.param(sending(CHUNKED, chunk(FULL)), id="U19-held-open"),
        pytest.param(sending(CHUNKED, chunk(FULL), LAST + b"HTTP/1.1 500 No\r\n\r\n"), id="U19-a-second-response"),
    ],
)
def test_nothing_is_read_behind_the_end_marker(sluice: Sluice, model: str, mode: str, script: Script) -> None:
    seen = sluice.ask(model, mode, script)
    expect.answer(sluice, seen, ANSWER)
    (asked,) = sluice.far.asked(model)
    assert asked.kept or asked.wait_closed() - seen.ended_at < 0.3 * slack()


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        pytest.param("length", ANSWER, id="U17-length"),
        pytest.param("content_filter", ANSWER, id="U46-filtered-after-text"),
    ],
)
def test_the_provider_s_reason_to_end_is_told(sluice: Sluice, model: str, mode: str, reason: str, text: str) -> None:
    seen = sluice.ask(model, mode, streaming(delta(), stop(reason), DONE))
    expect.answer(sluice, seen, text, reason=reason)


@pytest.mark.parametrize(
    ("script", "upstream"),
    [
        pytest.param(streaming(stop("content_filter"), DONE), 200, id="U46-filtered-from-the-start"),
        pytest.param(
            replying(400, b'{"error": {"message": "The prompt is not allowed.", "code": "content_filter"}}'),
            400,
            id="U46-prompt-refused",
        ),
    ],
)
def test_an_answer_that_was_filtered_whole_is_an_error(
    sluice: Sluice, model: str, mode: str, script: Script, upstream: int
) -> None:
    seen = sluice.ask(model, mode, script)
    expect.refusal(sluice, seen, 400, "content_filter", Course(upstream))
