"""The question's half of the seam: what is asked, of whom, and with whose settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .answer import Answer
from .failure import Code, Failure
from .upstream import Upstream
from .upstream.egress import check_endpoint
from .values import ENDPOINT, KEY, Form


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
    """A setting of a provider: its name in a profile, its variable in the environment, what its values look like.

    A setting that only the operator may choose is read from the environment alone. One that goes with the key is taken
    from where the key is, whatever is set elsewhere. `meant` is what a value stands for, where people paste more than
    is wanted.
    """

    name: str
    variable: str
    form: Form
    operator_only: bool = False
    with_key: bool = False
    meant: Callable[[str], str] = str

    @property
    def is_secret(self) -> bool:
        """Whether its value is shown to nobody."""
        return self.form is KEY

    @property
    def is_endpoint(self) -> bool:
        """Whether its value says where the key is sent."""
        return self.form is ENDPOINT


@dataclass(frozen=True, slots=True)
class Profile:
    """The settings that one user's chats are asked with, by their names: the user's own, and the environment's.

    `policy` tells whose are taken where both have one: `environment-first`, `profile-first` or `environment-only`.
    """

    user: str
    own: Mapping[str, str] = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)
    policy: str = "environment-first"

    def get(self, name: str) -> str | None:
        """Return a setting's value, by the policy."""
        return self.source(name).get(name)

    def source(self, name: str) -> Mapping[str, str]:
        """Return the settings among which `name` was found.

        A key's endpoint is looked up in the key's own source: a key never travels to an endpoint from another one.
        """
        if self.policy == "environment-only":
            return self.environment
        first, second = (
            (self.environment, self.own) if self.policy == "environment-first" else (self.own, self.environment)
        )
        return first if name in first else second

    def is_own(self, name: str) -> bool:
        """Tell whether it is the user's own setting that is taken."""
        return self.source(name) is self.own


@dataclass(frozen=True, slots=True)
class Provider:
    """Whom to ask, and how.

    `name` is in the route, `label` in sentences. `key` is the setting without which nothing can be asked, `settings`
    are all others. `ask(chat, profile, upstream)` sends the request before it returns. `check(profile, upstream)`
    spends nothing, and raises `Failure` unless the provider takes the key. The key must be there for both.
    """

    name: str
    label: str
    key: Setting
    ask: Callable[[Chat, Profile, Upstream], Answer]
    check: Callable[[Profile, Upstream], None]
    settings: tuple[Setting, ...] = ()

    @property
    def own_settings(self) -> tuple[Setting, ...]:
        """The settings that users may have in their profiles; an endpoint comes before its key, as it must be set."""
        own = [setting for setting in (self.key, *self.settings) if not setting.operator_only]
        return tuple(sorted(own, key=lambda setting: not setting.is_endpoint))


def require_key(provider: Provider, profile: Profile) -> None:
    """Raise `Failure` 400 unless there is a key to ask the provider with."""
    if not profile.get(provider.key.name):
        is_theirs = profile.policy == "environment-only"
        remedy = "Whoever runs this service has to set it." if is_theirs else "Please set it in your profile settings."
        raise Failure(Code.MISSING_KEY, f"{provider.label} API Key not found. {remedy}")


def check_value(setting: Setting, value: object, allowed_endpoints: tuple[str, ...]) -> str:
    """Return a setting's value as it is kept. Raises `Failure` 400 for one that it cannot have."""
    kept = value.strip() if isinstance(value, str) else ""
    if not setting.form.fits(kept):
        raise Failure(Code.BAD_BODY, f"{setting.name} {setting.form.sentence}.")
    if setting.is_endpoint:
        check_endpoint(setting.meant(kept), allowed_endpoints)
    return kept
