"""Groq (https://console.groq.com/docs/api-reference#chat-create). It sends its usage unasked."""

from .. import models
from ..dialects import completions
from .provider import Provider

MODELS = ("openai/gpt-oss-20b", "openai/gpt-oss-120b")
PROVIDER = Provider("groq", "Groq", "https://api.groq.com/openai/v1", completions, models.GROQ, MODELS)
