"""The list of a provider's models: it costs nothing, and only a right key gets it."""

import openai

from ..failure import Code, Failure
from .account import Account
from .request import send

CHECK_SECONDS = 8.0
"""How long the list is waited for; the sentence of a refusal may take the transport's `ERROR_SECONDS` more."""


def check_key(client: openai.OpenAI, account: Account) -> None:
    """Ask for the list, once, and leave it unread. Raises `Failure` unless the provider takes the key."""
    body = send(client, account, "/models", CHECK_SECONDS)
    body.close()
    if not body.begun:
        raise Failure(Code.UP_TIMEOUT, f"{account.name} took too long to answer. Please try again.")
