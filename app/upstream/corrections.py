"""Parameters that servers have refused: left out when they are asked again, for a day."""

from collections.abc import Mapping
from time import monotonic
from typing import Any

MAX_REMEMBERED = 500
REMEMBERED_SECONDS = 24 * 3600.0
"""After so long a server is asked with all parameters again: it may have learnt them."""


class Corrections:
    """A bounded TTL cache: base URL -> the parameter that its server refused.

    By base URL, so that no user's own endpoint changes what another's is asked.
    """

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._refused: dict[str, tuple[str, float]] = {}

    def without_refused(self, base_url: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return a body without the parameter that this server is known to refuse."""
        name, until = self._refused.get(base_url, ("", 0.0))
        return {key: value for key, value in body.items() if key != name or until <= monotonic()}

    def remember(self, base_url: str, name: str) -> None:
        """Remember a refused parameter; of too many servers, forget the oldest."""
        while len(self._refused) >= MAX_REMEMBERED:
            self._refused.pop(next(iter(self._refused)), None)
        self._refused[base_url] = (name, monotonic() + REMEMBERED_SECONDS)
