"""The application with a mistake of a programmer's in it: an error that shows everything which was at hand."""

from dataclasses import replace

from app.chat import Chat
from app.providers import PROVIDERS, openai
from app.upstream.account import Account


def _crash(chat: Chat, account: Account) -> Chat:
    """Break where the key is known."""
    copy = Account(account.label, "https://provider.test", account.key, {"api-key": account.key})
    raise RuntimeError(f"{chat!r} {account!r} {copy!r} {account.value!r}")


CRASHING = replace(openai.PROVIDER, name="crashing", prefix="openai", adapt=_crash)
PROVIDERS[CRASHING.name] = CRASHING  # before the application is made

from wsgi import app  # noqa: E402, F401 - what the server serves
