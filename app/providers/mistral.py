"""Mistral (https://docs.mistral.ai/api/#tag/chat). Its schema is strict: an unknown key anywhere is a 422."""

from dataclasses import replace

from .. import catalogue, values
from ..answer import Answer
from ..question import Chat, Profile, Provider, Setting
from ..upstream import Upstream
from ..upstream.account import Account

LABEL = "Mistral"
KEY = Setting("mistral_api_key", "MISTRAL_API_KEY", values.KEY)
BASE_URL = Setting("mistral_base_url", "MISTRAL_BASE_URL", values.ENDPOINT, operator_only=True)
HOME = "https://api.mistral.ai/v1"


def ask(chat: Chat, profile: Profile, upstream: Upstream) -> Answer:
    """Ask Mistral; it sends its usage unasked, and knows no `developer` role."""
    messages = [
        {**message, "role": "system"} if message["role"] == "developer" else message for message in chat.messages
    ]
    parameters = catalogue.parameters(replace(chat, messages=messages), catalogue.MISTRAL)
    return upstream.complete(_account(profile), parameters)


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


PROVIDER = Provider("mistral", LABEL, KEY, ask, check, (BASE_URL,))
