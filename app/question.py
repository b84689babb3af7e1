"""The question's half of the seam: what is asked, of whom, and with whose settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.answer import Answer
from app.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Chat:
    """One chat to be answered.

    `messages` are OpenAI-shaped: `role`, and `content` as a string or a list of `text` and `image_url` parts, with no
    other keys. `temperature` and `max_tokens` (of output) are None where the client did not say.
    """

    model: str
    messages: list[dict[str, Any]]
    temperature: float | None = None
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of a provider: its name in a profile, and its variable in the environment.

    A setting that only the operator may choose is read from the environment alone.
    """

    name: str
    variable: str
    operator_only: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """The settings that one user's chats are asked with, by their names: the user's own, and the environment's."""

    user: str
    own: Mapping[str, str] = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)

    def get(self, name: str) -> str | None:
        """Return a setting's value; the environment wins."""
        return self.environment.get(name) or self.own.get(name)

    def source(self, name: str) -> Mapping[str, str]:
        """Return the settings among which `name` was found.

        A key's endpoint is looked up in the key's own source: a key never travels to an endpoint from another one.
        """
        return self.environment if self.environment.get(name) else self.own


@dataclass(frozen=True, slots=True)
class Provider:
    """Whom to ask, and how.

    `name` is in the route, `label` in sentences. `key` is the setting without which nothing can be asked, `settings`
    are all others. `ask(chat, profile, upstream)` sends the request before it returns.
    """

    name: str
    label: str
    key: Setting
    ask: Callable[[Chat, Profile, Upstream], Answer]
    settings: tuple[Setting, ...] = ()
