"""Groq (https://console.groq.com/docs/api-reference#chat-create)."""

from .. import catalogue, values
from ..answer import Answer
from ..question import Chat, Profile, Provider, Setting
from ..upstream import Upstream
from ..upstream.account import Account

LABEL = "Groq"
KEY = Setting("groq_api_key", "GROQ_API_KEY", values.KEY)
BASE_URL = Setting("groq_base_url", "GROQ_BASE_URL", values.ENDPOINT, operator_only=True)
HOME = "https://api.groq.com/openai/v1"


def ask(chat: Chat, profile: Profile, upstream: Upstream) -> Answer:
    """Ask Groq; it sends its usage unasked."""
    return upstream.complete(_account(profile), catalogue.parameters(chat, catalogue.GROQ))


def check(profile: Profile, upstream: Upstream) -> None:
    """Check the key."""
    upstream.check(_account(profile))


def _account(profile: Profile) -> Account:
    return Account(
        label=LABEL,
        base_url=profile.environment.get(BASE_URL.name, HOME),
        key=profile.source(KEY.name)[KEY.name],
        home=HOME,
        has_operators_key=not profile.is_own(KEY.name),
        user=profile.user,
    )


PROVIDER = Provider("groq", LABEL, KEY, ask, check, (BASE_URL,))
