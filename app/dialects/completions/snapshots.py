"""Messages beside the deltas: each is either a snapshot (the whole answer so far) or the next part of the answer."""

from ...failure import Code, Failure

MAX_KEPT = 1024 * 1024
"""How many characters are kept."""


class Snapshots:
    """The text of the messages of one answer.

    As long as each message begins with the one before, they are snapshots, and the last one is the whole text. The
    first that does not shows that all of them were parts. So the text is known only at the end.
    """

    def __init__(self) -> None:
        """Start without a message."""
        self._parts: list[str] = []
        self._sizes: list[int] = []
        """The sizes of all snapshots; only the last one is kept, and the others are its beginnings."""
        self._kept = 0

    def add(self, text: str) -> None:
        """Add the text of the next message. Raises `Failure` above `MAX_KEPT`."""
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
        """The text of all messages together."""
        return "".join(self._parts)
