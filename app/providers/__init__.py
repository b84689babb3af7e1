"""Whom to ask: one file a provider. A new one is its file, and its name in `PROVIDERS`."""

from ..question import Provider
from . import azure, groq, mistral, openai

PROVIDERS: dict[str, Provider] = {module.PROVIDER.name: module.PROVIDER for module in (openai, azure, groq, mistral)}
