"""Whom to ask: one file a provider. A new one is its file, and its name in `PROVIDERS`."""

from app.providers import azure, groq, mistral, openai
from app.question import Provider

PROVIDERS: dict[str, Provider] = {module.PROVIDER.name: module.PROVIDER for module in (openai, azure, groq, mistral)}
