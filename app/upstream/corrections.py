"""Parameters that a server does not know: left out when it says so, and for a day from then on.

Servers that speak OpenAI's language know as much of it as they need; some refuse `stream_options`.
"""

from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

import openai

from ..failure import Failure
from . import asking
from .refusal import blames
from .transport import Body

OPTIONAL = "stream_options"
"""The one parameter without which an answer is as good; only its usage may be missing."""
REFUSING = frozenset({400, 422, 500, 501})
"""The statuses with which a parameter is refused; some servers fail over one that they do not know."""
MAX_REMEMBERED = 500
REMEMBERED_SECONDS = 24 * 3600.0
"""After so long a server is asked with all parameters again: it may have learnt them."""

Parameters = Mapping[str, Any]


class Corrections:
    """What servers have refused, by base URL, so that no user's own endpoint changes what another's is asked."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._until: dict[str, float] = {}

    def ask(self, base_url: str, parameters: Parameters, ask: Callable[[Parameters], Body]) -> Body:
        """Ask, and once more without the parameter that is refused; the last refusal is told.

        That one more request is beside those that the chat may make anyhow: a refusal of this kind costs nothing.
        """
        if self._until.get(base_url, 0) > monotonic():
            return ask(_without(parameters))
        try:
            return ask(parameters)
        except Failure as failure:
            if not _is_refused(parameters, failure):
                raise
        asking.current().allowed += 1
        body = ask(_without(parameters))
        if body.begun:
            self._remember(base_url)
        return body

    def _remember(self, base_url: str) -> None:
        while len(self._until) >= MAX_REMEMBERED:
            self._until.pop(next(iter(self._until)), None)
        self._until[base_url] = monotonic() + REMEMBERED_SECONDS


def _without(parameters: Parameters) -> Parameters:
    return {name: value for name, value in parameters.items() if name != OPTIONAL}


def _is_refused(parameters: Parameters, failure: Failure) -> bool:
    """Tell whether the optional parameter, or a part of it, was refused.

    Where the chat's own texts have the same words, a sentence that has them may be about those.
    """
    error = failure.__cause__
    if failure.status not in REFUSING or not isinstance(error, openai.APIStatusError):
        return False
    names, sent, answer = [OPTIONAL, *parameters.get(OPTIONAL, {})], error.request.content, error.response
    return any(blames(answer.content, answer.headers, name, in_words=sent.count(name.encode()) == 1) for name in names)
