"""Parameters that servers have refused: for a day, later requests to these servers leave them out."""

from collections.abc import Mapping
from time import monotonic
from typing import Any

MAX_REMEMBERED = 500
REMEMBERED_SECONDS = 24 * 3600.0
"""After this time, a request has all parameters again: the server may have been updated."""


class Corrections:
    """A bounded TTL cache: base URL -> the parameter that its server refused.

    The key is the base URL, so that one user's endpoint does not change the requests to another's.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._refused: dict[str, tuple[str, float]] = {}

    def without_refused(self, base_url: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the body without the parameter that this server refused."""
        name, until = self._refused.get(base_url, ("", 0.0))
        return {key: value for key, value in body.items() if key != name or until <= monotonic()}

    def remember(self, base_url: str, name: str) -> None:
        """Add a refused parameter; when the cache is full, drop the oldest server."""
        while len(self._refused) >= MAX_REMEMBERED:
            self._refused.pop(next(iter(self._refused)), None)
        self._refused[base_url] = (name, monotonic() + REMEMBERED_SECONDS)
