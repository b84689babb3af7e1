"""The dialects, one file each. A new one is a file here and a word in `DIALECTS`."""

from types import MappingProxyType

from app.simulator.dialects.azure import AZURE
from app.simulator.dialects.groq import GROQ
from app.simulator.dialects.mistral import MISTRAL
from app.simulator.dialects.openai import OPENAI

DIALECTS = MappingProxyType({dialect.name: dialect for dialect in (OPENAI, AZURE, GROQ, MISTRAL)})
"""Every dialect, by the first segment of its paths."""
