"""Where a provider is asked, and with which key."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import openai

from ..failure import Code, Failure
from .egress import parse


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody's account with an OpenAI-shaped provider.

    `label` is the provider's name. The key travels as `Authorization: Bearer`, unless `headers` carries an `api-key`.
    `query` goes with every request. `home` is the provider's own base URL, where it has one. The key is the user's, or
    the operator's; so is the choice of the base URL (`chosen_by_user`). `user` is who asks.
    """

    label: str
    base_url: str
    key: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict)
    chosen_by_user: bool = False
    home: str = ""
    has_operators_key: bool = False
    user: str = ""

    @property
    def is_elsewhere(self) -> bool:
        """Whether another server than the provider's own is asked, such as a gateway or a model of the house."""
        return bool(self.home) and _site(self.base_url) != _site(self.home)

    @property
    def name(self) -> str:
        """Who answers, as a sentence may begin: the provider, or the host that is asked in its place."""
        return f"The server at {_host(self.base_url)}" if self.is_elsewhere else self.label

    @property
    def wrong_key(self) -> str:
        """The sentence for a key that the provider refuses."""
        return f"{self.label} API Key is incorrect. {self._remedy(is_theirs=not self.has_operators_key)}"

    @property
    def wrong_address(self) -> str:
        """The sentence for a base URL that is no address."""
        return f"{self.label}'s address cannot be used. {self._remedy(is_theirs=self.chosen_by_user)}"

    @staticmethod
    def _remedy(*, is_theirs: bool) -> str:
        """Tell who can act: a user has no way to what the operator set."""
        return "Please fix it in your profile settings." if is_theirs else "Whoever runs this service has to fix it."

    def check_characters(self) -> None:
        """Raise `Failure` if the key, or another header, cannot be sent as it is."""
        for value in (self.key, *self.headers.values()):
            if not re.fullmatch(r"[\x21-\x7e]+", value):
                remedy = self._remedy(is_theirs=not self.has_operators_key)
                raise Failure(Code.BAD_KEY, f"{self.label} API Key contains characters that no key has. {remedy}")

    def outbound(self) -> dict[str, str | openai.Omit]:
        """Set, or omit, every header that the SDK would fill from `OPENAI_*`, whatever the base URL.

        What can be neither set nor omitted here is stopped by the transport's list.
        """
        return {
            "User-Agent": "sluice",
            "Authorization": openai.Omit() if "api-key" in self.headers else f"Bearer {self.key}",
            "OpenAI-Organization": openai.Omit(),
            "api-key": openai.Omit(),
            **self.headers,
        }


@lru_cache(1000)
def _host(url: str) -> str:
    parsed = parse(url)
    return parsed.raw_host.decode() if parsed is not None else ""


def _site(url: str) -> str:
    """Return the end of a host's name that tells whose it is: `openai.com` of `eu.api.openai.com`."""
    return ".".join(_host(url).split(".")[-2:])
