"""Model providers on this machine: each speaks its own dialect, and misbehaves on request.

`python -m app.simulator --help` says where and how. What it answers is exported for tests to compare with.
"""

from .text import ANSWER, EMOJI, REASONING, words

__all__ = ["ANSWER", "EMOJI", "REASONING", "words"]
