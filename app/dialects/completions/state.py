"""Whether an answer has ended: a finish reason alone does not tell."""

from enum import Enum, auto


class State(Enum):
    """The states of an answer that is being read.

    What comes              | OPEN               | DOUBTED            | FINISHED           | SPOILED
    ------------------------|--------------------|--------------------|--------------------|--------------------
    text or reasoning       | OPEN               | OPEN               | OPEN               | a failure
    a finish reason         | FINISHED           | FINISHED           | FINISHED           | SPOILED
    an unknown event        | DOUBTED            | DOUBTED            | FINISHED           | SPOILED
    not JSON                | a failure          | a failure          | SPOILED            | SPOILED
    unreadable, or an error | a failure          | a failure          | a failure          | a failure
    `[DONE]`                | ENDED, `unknown`   | a cut              | ENDED              | ENDED
    the body's proper end   | a cut              | a cut              | an end             | an end
    half an event before it | a cut              | a cut              | a cut              | a cut
    a cut, or a deadline    | a failure          | a failure          | a failure          | a failure

    Nothing is read after ENDED, nor after a cut or a failure.

    So a finish reason alone does not end an answer: something must confirm it, and text behind it cancels it. A blank
    event, a usage and a message (used at the end, if there was no other text) change nothing. An answer without text
    fails if its end is `unknown`, if a filter stopped it, or if there was text under a name that is not known.
    """

    OPEN = auto()
    DOUBTED = auto()
    FINISHED = auto()
    SPOILED = auto()
    ENDED = auto()
