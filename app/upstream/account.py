"""A user's account with a provider: the base URL, the key, and the provider's other fields."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ..failure import Code, Failure
from . import secrets
from .egress import parse


def _no_value(_: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Account:
    """A user's account with a provider.

    `label` is the provider's name in sentences, `home` its own base URL, where it has one. The key travels in the
    header `key_header`, or as a bearer token if that is empty; `headers` and `query` go with every request.
    `value(name)` returns the value of another of the provider's fields, or None. `user` is the id of the user.
    """

    label: str
    base_url: str
    key: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict)
    home: str = ""
    chosen_by_user: bool = False
    """Whether the user, not the operator, chose the base URL."""
    has_operators_key: bool = False
    value: Callable[[str], str | None] = field(default=_no_value, repr=False)
    user: str = ""
    key_header: str = ""
    quirks: Any = None
    """The provider's differences, in a record of its dialect."""

    @property
    def is_elsewhere(self) -> bool:
        """Whether the base URL leads to another server than the provider's own, such as a gateway or a local model."""
        return bool(self.home) and _site(self.base_url) != _site(self.home)

    @property
    def name(self) -> str:
        """The subject of a sentence about the server: the provider, or the host that is used in its place."""
        return f"The server at {_host(self.base_url)}" if self.is_elsewhere else self.label

    @property
    def wrong_key(self) -> str:
        """The sentence for a key that the provider refuses."""
        return f"{self.label} API Key is incorrect. {self._remedy(is_theirs=not self.has_operators_key)}"

    @property
    def wrong_address(self) -> str:
        """The sentence for an invalid base URL."""
        return f"{self.label}'s address cannot be used. {self._remedy(is_theirs=self.chosen_by_user)}"

    @staticmethod
    def _remedy(*, is_theirs: bool) -> str:
        """Say who can fix it: users cannot change a value of the operator's."""
        return "Please fix it in your profile settings." if is_theirs else "Whoever runs this service has to fix it."

    def outbound(self) -> dict[str, str]:
        """Return the header with the key, and the headers that go with it."""
        key = {self.key_header: self.key} if self.key_header else {"Authorization": f"Bearer {self.key}"}
        return key | dict(self.headers)

    def cleaned(self, text: str) -> str:
        """Return a provider's text as it may be shown: one sentence, without the key."""
        return secrets.cleaned(text, self.key)

    def check_characters(self) -> None:
        """Raise `Failure` if the key, or another header, has characters that cannot be sent."""
        for value in (self.key, *self.headers.values()):
            if not re.fullmatch(r"[\x21-\x7e]+", value):
                remedy = self._remedy(is_theirs=not self.has_operators_key)
                raise Failure(Code.BAD_KEY, f"{self.label} API Key contains characters that no key has. {remedy}")


@lru_cache(1000)
def _host(url: str) -> str:
    parsed = parse(url)
    return parsed.raw_host.decode() if parsed is not None else ""


def _site(url: str) -> str:
    """Return the last two labels of a host name: `example.com` of `eu.api.example.com`."""
    return ".".join(_host(url).split(".")[-2:])
