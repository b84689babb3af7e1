"""The providers with a form of their own, one file each: a new one is a file here and a name in `WITH_OWN_FILE`."""

from types import MappingProxyType

from .azure import AZURE
from .groq import GROQ
from .mistral import MISTRAL
from .openai import OPENAI

WITH_OWN_FILE = MappingProxyType({provider.name: provider for provider in (OPENAI, AZURE, GROQ, MISTRAL)})
"""Each by its name, which is the first segment of its paths. All other providers are `plain`."""
