"""How each provider in `PROVIDERS` is simulated, and the settings with which the service asks it."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from ..dialects import completions
from ..providers import PROVIDERS
from .provider import SimulatedProvider
from .providers import WITH_OWN_FILE
from .providers.plain import plain

KEY = "simulated"
"""The key that `settings` sets; any other is as good."""


def simulated_providers() -> dict[str, SimulatedProvider]:
    """Return each simulated provider, by its name: from its own file, or the plain one with its path and its models."""
    return {
        name: WITH_OWN_FILE.get(name) or plain(name, urlsplit(provider.base_url).path, provider.models)
        for name, provider in PROVIDERS.items()
        if name in WITH_OWN_FILE or provider.dialect is completions
    }


def settings(address: str, simulated: Mapping[str, SimulatedProvider]) -> dict[str, dict[str, str]]:
    """Return what makes a provider the simulated one: variables with their values, by its name; the key comes first."""
    return {
        name: {
            PROVIDERS[name].key.variable: KEY,
            PROVIDERS[name].endpoint.variable: f"{address}{provider.base}",
            **provider.settings,
        }
        for name, provider in simulated.items()
    }
