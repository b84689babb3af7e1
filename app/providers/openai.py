"""OpenAI (https://platform.openai.com/docs/api-reference/chat/create)."""

from .. import models
from ..dialects import completions
from .forms import HEADER
from .provider import Field, Provider

_NAMES = "openai_organization_id", "OPENAI_ORGANIZATION_ID"
ORGANIZATION = Field(*_NAMES, HEADER, "Organization ID", "org-...", with_key=True, header="OpenAI-Organization")
PROVIDER = Provider(
    name="openai",
    label="OpenAI",
    base_url="https://api.openai.com/v1",
    dialect=completions,
    families=models.OPENAI,
    models=("gpt-5.1", "gpt-4o", "gpt-4.1-mini"),
    fields=(ORGANIZATION,),
    quirks=completions.Quirks(stream_options={"include_usage": True, "include_obfuscation": False}),
)
