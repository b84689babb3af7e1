"""How each provider is simulated: a row for each in `PROVIDERS`, and the settings with which the service asks it."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from ..dialects import completions
from ..providers import PROVIDERS
from .dialect import Dialect
from .dialects import DIALECTS
from .dialects.plain import plain

KEY = "simulated"
"""The key that `settings` sets; any other is as good."""


def rows() -> dict[str, Dialect]:
    """Return the dialect of each provider, by its name: its own, or a plain one that its record is enough for."""
    return {
        name: DIALECTS.get(name) or plain(name, urlsplit(provider.base_url).path, provider.models)
        for name, provider in PROVIDERS.items()
        if name in DIALECTS or provider.dialect is completions
    }


def settings(address: str, simulated: Mapping[str, Dialect]) -> dict[str, dict[str, str]]:
    """Return what makes a provider the simulated one: variables with their values, by its name; the key comes first."""
    return {
        name: {
            PROVIDERS[name].key.variable: KEY,
            PROVIDERS[name].endpoint.variable: f"{address}{dialect.base}",
            **dialect.settings,
        }
        for name, dialect in simulated.items()
    }
