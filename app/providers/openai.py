"""OpenAI (https://platform.openai.com/docs/api-reference/chat/create)."""

from .. import catalogue, values
from ..answer import Answer
from ..question import Chat, Profile, Provider, Setting
from ..upstream import Upstream
from ..upstream.account import Account

LABEL = "OpenAI"
KEY = Setting("openai_api_key", "OPENAI_API_KEY", values.KEY)
ORGANIZATION = Setting("openai_organization_id", "OPENAI_ORGANIZATION_ID", values.HEADER, with_key=True)
BASE_URL = Setting("openai_base_url", "OPENAI_BASE_URL", values.ENDPOINT, operator_only=True)
STREAM_OPTIONS = {"include_usage": True, "include_obfuscation": False}
HOME = "https://api.openai.com/v1"


def ask(chat: Chat, profile: Profile, upstream: Upstream) -> Answer:
    """Ask OpenAI."""
    parameters = {**catalogue.parameters(chat, catalogue.OPENAI), "stream_options": STREAM_OPTIONS}
    return upstream.complete(_account(profile), parameters)


def check(profile: Profile, upstream: Upstream) -> None:
    """Check the key, and the organization."""
    upstream.check(_account(profile))


def _account(profile: Profile) -> Account:
    """Return the account of the organization that comes from the key's own source."""
    own = profile.source(KEY.name)
    organization = own.get(ORGANIZATION.name)
    return Account(
        label=LABEL,
        base_url=profile.environment.get(BASE_URL.name, HOME),
        key=own[KEY.name],
        home=HOME,
        has_operators_key=not profile.is_own(KEY.name),
        user=profile.user,
        headers={"OpenAI-Organization": organization} if organization else {},
    )


PROVIDER = Provider("openai", LABEL, KEY, ask, check, (ORGANIZATION, BASE_URL))
