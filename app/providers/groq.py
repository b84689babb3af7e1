"""Groq (https://console.groq.com/docs/api-reference#chat-create)."""

from app import catalogue
from app.answer import Answer
from app.question import Chat, Profile, Provider, Setting
from app.upstream import Upstream

LABEL = "Groq"
KEY = Setting("groq_api_key", "GROQ_API_KEY")
BASE_URL = Setting("groq_base_url", "GROQ_BASE_URL", operator_only=True)


def ask(chat: Chat, profile: Profile, upstream: Upstream) -> Answer:
    """Ask Groq; it sends its usage unasked."""
    return upstream.complete(
        label=LABEL,
        base_url=profile.environment.get(BASE_URL.name, "https://api.groq.com/openai/v1"),
        key=profile.source(KEY.name)[KEY.name],
        parameters=catalogue.parameters(chat, catalogue.GROQ),
    )


PROVIDER = Provider("groq", LABEL, KEY, ask, (BASE_URL,))
