"""The dialects with words of their own, one file each: a new one is a file here and a word in `DIALECTS`."""

from types import MappingProxyType

from .azure import AZURE
from .groq import GROQ
from .mistral import MISTRAL
from .openai import OPENAI

DIALECTS = MappingProxyType({dialect.name: dialect for dialect in (OPENAI, AZURE, GROQ, MISTRAL)})
"""Each by its provider, which is the first segment of its paths. All other providers are `plain`."""
