"""OpenAI (https://platform.openai.com/docs/api-reference/chat/create)."""

from app import catalogue
from app.answer import Answer
from app.question import Chat, Profile, Provider, Setting
from app.upstream import Upstream

LABEL = "OpenAI"
KEY = Setting("openai_api_key", "OPENAI_API_KEY")
ORGANIZATION = Setting("openai_organization_id", "OPENAI_ORGANIZATION_ID")
BASE_URL = Setting("openai_base_url", "OPENAI_BASE_URL", operator_only=True)
STREAM_OPTIONS = {"include_usage": True, "include_obfuscation": False}


def ask(chat: Chat, profile: Profile, upstream: Upstream) -> Answer:
    """Ask OpenAI, for the organization that comes from the key's own source."""
    own = profile.source(KEY.name)
    organization = own.get(ORGANIZATION.name)
    return upstream.complete(
        label=LABEL,
        base_url=profile.environment.get(BASE_URL.name, "https://api.openai.com/v1"),
        key=own[KEY.name],
        headers={"OpenAI-Organization": organization} if organization else {},
        parameters={**catalogue.parameters(chat, catalogue.OPENAI), "stream_options": STREAM_OPTIONS},
    )


PROVIDER = Provider("openai", LABEL, KEY, ask, (ORGANIZATION, BASE_URL))
