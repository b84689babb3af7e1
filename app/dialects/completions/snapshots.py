"""Messages beside the deltas: each the answer so far, or the next part of it."""

from ...failure import Code, Failure

MAX_KEPT = 1024 * 1024
"""How many characters of them are kept."""


class Snapshots:
    """The text of the messages of one answer.

    As long as each begins with the one before, it grows, and the last is the whole. The first that does not shows that
    all of them were parts; so what they say is known at the end only.
    """

    def __init__(self) -> None:
        """Start before the first."""
        self._parts: list[str] = []
        self._sizes: list[int] = []
        """The sizes of those that grew, which are the beginnings of the one that is kept."""
        self._kept = 0

    def add(self, text: str) -> None:
        """Take the text of the next one. Raises `Failure` over a million characters."""
        if self._sizes and not text.startswith(self._parts[0]):
            self._keep(sum(self._sizes))
            self._parts, self._sizes = [self._parts[0][:size] for size in self._sizes], []
        if self._sizes or not self._parts:
            self._keep(len(text))
            self._parts = [text]
            self._sizes.append(len(text))
        else:
            self._keep(self._kept + len(text))
            self._parts.append(text)

    def _keep(self, size: int) -> None:
        if size > MAX_KEPT:
            raise Failure(Code.UP_TOO_LARGE, "The provider's answer is too large.")
        self._kept = size

    @property
    def whole(self) -> str:
        """What they say."""
        return "".join(self._parts)
