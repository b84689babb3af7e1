"""The texts of the simulator: an answer, a piece of reasoning, and a text of split emoji."""

import itertools
import re

ANSWER = (
    "A chat answer arrives in small pieces, and a good server — like a good café — brings each one while it is warm."
    " The model writes a word, the word becomes an event, the event crosses the network, and the page shows it at once:"
    " 漢字 or 🚀, nothing is lost on the way. After the last word, the stream says that it is over."
)
"""The answer to every question, sent a word at a time."""

REASONING = "The reader asks how an answer streams, so I follow one word from the model to the page."
"""The reasoning before the answer under the fault `reasoning`."""

EMOJI = "👩‍🚀 naïve 😀 漢字"
"""The answer under the fault `emoji`."""

EMOJI_PIECES = ("\ud83d", "\udc69", "\u200d", "\ud83d", "\ude80", " naïve ", "\ud83d", "\ude00", " 漢字")
"""`EMOJI` as it is sent: each emoji's surrogate pair split over two events."""


def pieces(text: str) -> tuple[str, ...]:
    """Split into words; each keeps the space before it, so that joining gives the text back."""
    return tuple(re.findall(r"\s*\S+", text))


WORDS = pieces(ANSWER)
WORDS_AGAIN = (f" {WORDS[0]}", *WORDS[1:])
"""The same words, fit to follow a sentence instead of opening one."""


def words(count: int) -> tuple[str, ...]:
    """Return `count` words: the answer, over and over."""
    return tuple(itertools.islice(itertools.chain(WORDS, itertools.cycle(WORDS_AGAIN)), count))
