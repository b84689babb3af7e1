"""The application with a mistake of a programmer's in it: an error that shows everything which was at hand."""

from dataclasses import replace

from app.answer import Answer
from app.providers import PROVIDERS, openai
from app.question import Chat, Profile
from app.upstream import Upstream
from app.upstream.account import Account


def _ask(chat: Chat, profile: Profile, upstream: Upstream) -> Answer:
    """Break where the key is known."""
    key = profile.source(openai.KEY.name)[openai.KEY.name]
    account = Account(openai.LABEL, "https://provider.test", key, {"api-key": key})
    raise RuntimeError(f"{chat!r} {account!r} {profile!r} {profile.own!r} {vars(upstream)!r}")


PROVIDERS["crashing"] = replace(openai.PROVIDER, name="crashing", ask=_ask)  # before the application is made

from wsgi import app  # noqa: E402, F401 - what the server serves
