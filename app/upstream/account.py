"""Where a provider is asked, and with which key."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import openai

from app.answer import Failure


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody's account with an OpenAI-shaped provider.

    `label` is the provider's name in sentences. The key travels as `Authorization: Bearer`, unless `headers` carries an
    `api-key`. `query` goes with every request. `chosen_by_user` is whether a user chose the base URL, not the operator.
    """

    label: str
    base_url: str
    key: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict)
    chosen_by_user: bool = False

    def check_characters(self) -> None:
        """Raise `Failure` if the key, or another header, cannot be sent as it is."""
        for value in (self.key, *self.headers.values()):
            if not re.fullmatch(r"[\x21-\x7e]+", value):
                message = (
                    f"{self.label} API Key contains characters that no key has. Please fix it in your profile settings."
                )
                raise Failure(400, "bad_key", message)

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
