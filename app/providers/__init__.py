"""Whom to ask: one file a provider. A new one is its file, and its name in the import and in `PROVIDERS` below."""

from . import azure, groq, mistral, openai
from .account import Sources as Sources
from .account import account_for as account_for
from .provider import Field as Field
from .provider import Provider as Provider

PROVIDERS: dict[str, Provider] = {
    module.PROVIDER.name: module.PROVIDER
    for module in (
        openai,
        azure,
        groq,
        mistral,
    )
}
