"""OpenAI (https://platform.openai.com/docs/api-reference/chat/create)."""

from dataclasses import replace

from .. import models
from ..dialects import completions
from ..upstream.account import Account
from .forms import HEADER
from .provider import Field, Provider

ORGANIZATION = Field(
    "openai_organization_id", "OPENAI_ORGANIZATION_ID", HEADER, "Organization ID", "org-...", with_key=True
)


def _with_organization(account: Account, _model: str) -> Account:
    organization = account.value(ORGANIZATION.name)
    return replace(account, headers={"OpenAI-Organization": organization}) if organization else account


PROVIDER = Provider(
    name="openai",
    label="OpenAI",
    base_url="https://api.openai.com/v1",
    dialect=completions,
    families=models.OPENAI,
    models=("gpt-5.1", "gpt-4o", "gpt-4.1-mini"),
    fields=(ORGANIZATION,),
    quirks=completions.Quirks(stream_options={"include_usage": True, "include_obfuscation": False}),
    place=_with_organization,
)
