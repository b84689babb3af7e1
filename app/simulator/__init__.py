"""Simulated model providers on this machine: each in its own form, and with faults on request.

`python -m app.simulator --help` says where and how. Their answers are exported, so that tests can compare with them.
"""

from .text import ANSWER, EMOJI, REASONING, words

__all__ = ["ANSWER", "EMOJI", "REASONING", "words"]
