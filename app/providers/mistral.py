"""Mistral (https://docs.mistral.ai/api/#tag/chat). Its schema is strict: an unknown key anywhere is a 422."""

from dataclasses import replace

from app import catalogue
from app.answer import Answer
from app.question import Chat, Profile, Provider, Setting
from app.upstream import Upstream

LABEL = "Mistral"
KEY = Setting("mistral_api_key", "MISTRAL_API_KEY")
BASE_URL = Setting("mistral_base_url", "MISTRAL_BASE_URL", operator_only=True)


def ask(chat: Chat, profile: Profile, upstream: Upstream) -> Answer:
    """Ask Mistral; it sends its usage unasked, and knows no `developer` role."""
    messages = [
        {**message, "role": "system"} if message["role"] == "developer" else message for message in chat.messages
    ]
    return upstream.complete(
        label=LABEL,
        base_url=profile.environment.get(BASE_URL.name, "https://api.mistral.ai/v1"),
        key=profile.source(KEY.name)[KEY.name],
        parameters=catalogue.parameters(replace(chat, messages=messages), catalogue.MISTRAL),
    )


PROVIDER = Provider("mistral", LABEL, KEY, ask, (BASE_URL,))
