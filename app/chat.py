"""What is asked: one chat."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Chat:
    """One chat to be answered.

    `messages` are as chat completions have them: `role`, and `content` as a string or a list of `text` and `image_url`
    parts, with no other keys. `temperature` and `max_tokens` (of output) are None where the client did not set them.
    """

    model: str
    messages: list[dict[str, Any]]
    temperature: float | None = None
    max_tokens: int | None = None
