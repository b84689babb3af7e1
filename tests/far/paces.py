"""Providers that take their time, each in its own way."""

from threading import Event

from tests.far import scripts
from tests.far.peer import SECONDS, Peer, Script

WORD = "word "
WORDS = "".join(f"{number} " for number in range(10))

stalling = scripts.sending(scripts.CHUNKED, scripts.chunk(scripts.delta()))
"""Begin to answer, and say no more."""


def silent(_: Peer) -> None:
    """Take the request and never answer."""


def ticking(seconds: float) -> Script:
    """Send a word every so often, for ever."""

    def script(peer: Peer) -> None:
        peer.send(scripts.CHUNKED)
        while not peer.wait(seconds):
            peer.send(scripts.chunk(scripts.delta(WORD)))

    return script


endless = ticking(0.02)
sedate = ticking(0.3)
"""Often enough never to be idle, and seldom enough for hundreds of them."""


def short(go_on: Event) -> Script:
    """Begin with the first of ten words; say the others when told to go on."""
    first, *others = (scripts.chunk(scripts.delta(f"{word} ")) for word in WORDS.split())

    def script(peer: Peer) -> None:
        peer.send(scripts.CHUNKED, first)
        assert go_on.wait(SECONDS)
        peer.send(*others, scripts.chunk(scripts.stop(), scripts.DONE), scripts.LAST)

    return script
