"""Providers that send more than anybody wants: the worker stays small, and goes on serving others."""

import gzip
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from tests.far import Peer
from tests.far.scripts import ANSWER, CHUNKED, DONE, EVENTS, LAST, chunk, delta, replying, sending, stop
from tests.faults import expect
from tests.faults.expect import Course
from tests.faults.sluice import Seen, Sluice
from tests.faults.worker import growth
from tests.machine import slack

MIB = 1024 * 1024
QUICK = (0.0, 6.0)
"""Seconds that dozens of MiB may take on a quiet machine."""

LONG = chunk(b"x" * MIB)
TURNS = 3

T = TypeVar("T")


def modest(sluice: Sluice, ask: Callable[[str], T], model: str) -> T:
    """Ask, and hold the worker to what it may take of memory, and of other people's time.

    The answer is that of the first time at which the others were served at once: a machine that is busy with other
    things is late now and then, a loop that is held up every time.
    """
    for turn in range(TURNS):
        with growth(sluice.worker) as grown, sluice.pulse() as beats:
            answer = ask(f"{model}-{turn}")
        assert grown[0] < 16, "MiB"
        if max(beats) < 100 * slack():
            return answer
    raise AssertionError(f"others waited {max(beats):.0f} ms, the last time of {TURNS}")


def test_u22_a_flood_is_cut_at_32_mib(sluice: Sluice, model: str, mode: str) -> None:
    """A socket that always has more to read never gives way to others by itself."""
    flood = sending(CHUNKED, *[chunk(delta("x" * 16_000)) * 10] * 650)
    seen = modest(sluice, lambda model: sluice.ask(model, mode, flood), model)
    text = seen.text().partition("\n")[0]
    expect.broken(sluice, seen, "up_too_large", text, Course(window=QUICK))
    assert set(text) == {"x"}
    assert 28 * MIB < len(text) <= 32 * MIB


def test_u22_many_floods_give_way_to_each_other(sluice: Sluice, model: str, mode: str) -> None:
    """Ten answers of three MiB at once."""
    body = chunk(delta("x" * 16_000)) * 10
    script = sending(CHUNKED, *[body] * 20, chunk(stop(), DONE) + LAST)

    def ask(model: str) -> list[Seen]:
        sluice.far.script(model, script)
        with ThreadPoolExecutor(10) as clients:
            return list(clients.map(lambda _: sluice.chat(model, mode), range(10)))

    for seen in modest(sluice, ask, model):
        expect.answer(sluice, seen, "x" * 16_000 * 200, Course(asked=10, window=QUICK))


@pytest.mark.parametrize(
    ("mode", "start"),
    [pytest.param("text", b"data: ", id="U23-data"), pytest.param("sse", b": ", id="U23-comment")],
)
def test_a_line_of_100_mib_is_an_error(sluice: Sluice, model: str, mode: str, start: bytes) -> None:
    script = sending(CHUNKED, chunk(start), *[LONG] * 100)
    seen = modest(sluice, lambda model: sluice.ask(model, mode, script), model)
    expect.refusal(sluice, seen, 500, "up_too_large", Course(200, window=QUICK))


def test_u23_a_line_of_100_mib_behind_text_cuts_the_answer(sluice: Sluice, model: str, mode: str) -> None:
    script = sending(CHUNKED, chunk(delta(), b"data: "), *[LONG] * 100)
    seen = modest(sluice, lambda model: sluice.ask(model, mode, script), model)
    expect.broken(sluice, seen, "up_too_large", ANSWER, Course(window=QUICK))


def bomb() -> bytes:
    """Pack 200 MiB of one letter."""
    packer = zlib.compressobj(1, wbits=31)
    return b"".join(packer.compress(b"a" * MIB) for _ in range(200)) + packer.flush()


@pytest.mark.parametrize(
    "encoding", [pytest.param(name, id=f"U32-{name}") for name in ("gzip", "deflate", "br", "zstd")]
)
def test_an_answer_that_is_packed_is_refused(sluice: Sluice, model: str, mode: str, encoding: str) -> None:
    """Nobody asked for it."""
    body = gzip.compress(delta() + stop() + DONE)
    seen = sluice.ask(model, mode, replying(200, body, f"Content-Encoding: {encoding}", kind="text/event-stream"))
    expect.refusal(sluice, seen, 500, "up_encoding", Course(200))


@pytest.mark.parametrize(
    "encoding", [pytest.param(name, id=f"U32-{name}") for name in ("identity", "Identity", "none", "UTF-8", "")]
)
def test_an_answer_that_says_it_is_not_packed_is_taken(sluice: Sluice, model: str, mode: str, encoding: str) -> None:
    head = EVENTS + b"Content-Encoding: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % encoding.encode()
    script = sending(head, chunk(delta(), stop(), DONE), LAST)
    expect.answer(sluice, sluice.ask(model, mode, script), ANSWER)


@pytest.mark.parametrize(
    ("mode", "status", "told", "code"),
    [
        pytest.param("text", 200, 500, "up_encoding", id="U32-200"),
        pytest.param("sse", 502, 502, "provider_error", id="U32-502"),
    ],
)
def test_a_bomb_is_not_unpacked(sluice: Sluice, model: str, mode: str, status: int, told: int, code: str) -> None:
    script = replying(status, bomb(), "Content-Encoding: gzip")
    seen = modest(sluice, lambda model: sluice.ask(model, mode, script), model)
    expect.refusal(sluice, seen, told, code, Course(status))


def test_u42_an_error_of_10_mib_is_read_no_further_than_it_explains(sluice: Sluice, model: str, mode: str) -> None:
    body = b'{"error": {"message": "' + b"x" * 10 * MIB + b'"}}'
    script = sending(b"HTTP/1.1 503 No\r\nContent-Length: %d\r\n\r\n" % len(body), body)
    seen = modest(sluice, lambda model: sluice.ask(model, mode, script), model)
    shown = expect.refusal(sluice, seen, 503, "provider_overloaded", Course(503))
    assert len(shown["message"]) <= 500


def test_u42_an_error_whose_body_stalls_is_told_without_it(sluice: Sluice, model: str, mode: str) -> None:
    """Three ways to stall, at once, as each takes two seconds that no setting scales."""
    head = b"HTTP/1.1 500 No\r\nContent-Length: 1000\r\n\r\n"

    def trickle(peer: Peer) -> None:
        """Send so much that a deadline for each read would never come."""
        peer.send(head)
        while not peer.wait(0.1):
            peer.send(b" ")

    stalls = [sending(head), sending(head, b'{"error": '), trickle]
    calls = [sluice.start(sluice.far.script(f"{model}-{number}", stall), mode) for number, stall in enumerate(stalls)]
    for call in calls:
        expect.refusal(sluice, call.finish(), 500, "provider_error", Course(500, window=(0, 2.7)))
