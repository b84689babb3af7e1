"""Whom to ask: one file a provider. A new one is its file, and its name in the list below."""

from importlib import import_module

from .account import Sources as Sources
from .account import account_for as account_for
from .provider import Field as Field
from .provider import Provider as Provider

_NAMES = (
    "openai",
    "azure",
    "groq",
    "mistral",
)
"""In the order in which they are shown."""
PROVIDERS: dict[str, Provider] = {name: import_module(f".{name}", __name__).PROVIDER for name in _NAMES}
