"""Events made to cost: whatever they are, others are served meanwhile.

Bounds are in units of what the same machine needs undisturbed, and no tighter than a quarter of a second.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from tests.far import Peer, Script
from tests.far.paces import WORDS
from tests.far.scripts import CHUNKED, DONE, LAST, chunk, delta, stop
from tests.faults.sluice import Sluice
from tests.machine import slack

MIB = 1024 * 1024
TURNS = 4
PACED_SECONDS = 1.0
PULSE_MS = 250


def event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"


def filled(size: int, before: bytes, item: bytes, after: bytes) -> bytes:
    """Repeat an item until this is about so many bytes long."""
    return before + (item + b",") * (size // (len(item) + 1)) + item + after


LARGE = MIB - 4096
COSTLY = {
    "choices that are none": event(filled(LARGE, b'{"choices":[', b"0", b"]}")),
    "empty choices": event(filled(LARGE, b'{"choices":[', b"{}", b"]}")),
    "lists for choices": event(filled(LARGE, b'{"choices":[', b"[]", b"]}")),
    "choices behind a good one": event(filled(LARGE, b'{"choices":[{"delta":{"content":""}},', b'{"a":[{}]}', b"]}")),
    "a usage": event(filled(LARGE, b'{"usage":{', b'"a":1', b"}}")),
    "members that nobody knows": event(filled(LARGE, b"{", b'"a":[{}]', b"}")),
    "a number that is none": event(filled(LARGE, b'{"a":[NaN,', b"[]", b"]}")),
    "content": event(filled(LARGE, b'{"choices":[{"delta":{"content":[', b"[]", b"]}}]}")),
    "lines of data": b"data:\n" * (LARGE // 6) + b"data:1\n\n",
    "lines of comments": b":\n" * (LARGE // 2) + b"\n",
    "ones, with line ends of another kind": b"data:1\r\r" * (LARGE // 8),
    "numbers": b'data:{"choices":[{"text":1}]}\n\n' * (LARGE // 31),
    "comments": b":\n\n" * (LARGE // 3),
    "blank lines": b"\n" * LARGE,
    "reasons": event(b'{"choices":[{"finish_reason":"%b"}]}' % (b"x" * 2000)) * (LARGE // 2050),
    "thoughts": event(b'{"choices":[{"delta":{"reasoning":"a"}}]}') * (LARGE // 49),
    "errors": event(filled(LARGE, b'{"error":[', b'"x"', b"]}")),
    "an error of tags": event(b'{"error":"%b"}' % (b"<a " * (LARGE // 3))),
}


def assert_prompt(sluice: Sluice, do: Callable[[int], object]) -> None:
    """Others are served at once meanwhile; at one of a few times, as a busy machine is late now and then by itself."""
    late = []
    for turn in range(TURNS):
        with sluice.pulse() as calm:
            time.sleep(0.3)
        with sluice.pulse() as beats:
            do(turn)
        late.append(max(beats) - 5 * max(calm))
        if late[-1] < PULSE_MS * slack():
            return
    raise AssertionError(f"others waited for {late} ms longer than without it")


def sends(part: bytes) -> Script:
    """Send this, and then an answer's end."""
    return lambda peer: peer.send(CHUNKED, chunk(part), chunk(delta("a"), stop(), DONE), LAST)


@pytest.mark.parametrize("part", COSTLY.values(), ids=COSTLY)
def test_events_made_to_cost_hold_up_nobody(sluice: Sluice, model: str, part: bytes) -> None:
    assert_prompt(sluice, lambda turn: sluice.ask(f"{model}-{turn}", "text", sends(part)))


def test_an_event_in_single_bytes_holds_up_nobody(sluice: Sluice, model: str) -> None:
    """A chunk for each byte, so that every read brings ten thousand."""
    body = b"1\r\nx\r\n" * (MIB // 2)

    def script(peer: Peer) -> None:
        peer.send(CHUNKED, chunk(b'data: {"a":"'), body, chunk(b'"}\n\n', delta("a"), stop(), DONE), LAST)

    def ask(turn: int) -> None:
        assert sluice.ask(f"{model}-{turn}", "text", script).text() == "a"

    assert_prompt(sluice, ask)


def paced(peer: Peer) -> None:
    """Say ten words within a second."""
    peer.send(CHUNKED)
    for word in WORDS.split():
        peer.send(chunk(delta(f"{word} ")))
        peer.wait(PACED_SECONDS / 10)
    peer.send(chunk(stop(), DONE), LAST)


def test_a_flood_of_events_holds_up_no_other_answer(sluice: Sluice, model: str, mode: str) -> None:
    """Twenty answers of ten words in a second each, beside one that comes as fast as it can be told."""
    plain, odd = delta("x") * 500, event(b'{"choices":[{"text":1}]}') * 500
    is_over = Event()

    def flood(peer: Peer) -> None:
        peer.send(CHUNKED)
        while not is_over.is_set():
            peer.send(chunk(plain + odd))
        peer.send(chunk(stop(), DONE), LAST)

    sluice.far.script(f"{model}-fast", flood)
    sluice.far.script(f"{model}-paced", paced)
    with ThreadPoolExecutor(20) as clients:
        fast = clients.submit(sluice.chat, f"{model}-fast", mode)
        for seen in clients.map(lambda _: sluice.chat(f"{model}-paced", mode), range(19)):
            assert seen.text() == WORDS
            assert seen.took < 3 * PACED_SECONDS * slack()
        is_over.set()
        assert len(fast.result().text()) > 1000


def test_a_choice_in_front_of_a_million_others_is_told(sluice: Sluice, model: str, mode: str) -> None:
    part = event(filled(LARGE, b'{"choices":[{"delta":{"content":"a"}},', b"0", b"]}"))
    seen = sluice.ask(model, mode, sends(part))
    assert (seen.whole, seen.text()) == (True, "aa")
