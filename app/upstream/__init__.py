"""Asking: the connection, the bytes, and the provider's event stream -> pieces."""

from functools import lru_cache
from typing import Any

import httpx2
import openai

from ..answer import Answer
from ..config import Settings
from ..failure import Code, Failure
from . import asking
from .account import Account
from .completions import complete
from .corrections import Corrections
from .egress import check_endpoint, is_listed, parse
from .models import check_key
from .names import Names
from .transport import Transport

MAX_CLIENTS = 500


class Upstream:
    """What all questions share: the transports, and the SDK's clients, one for each base URL and holding no key.

    Where a user chose the base URL, the transport is one that reaches public addresses only. It keeps connections of
    its own, so that no question ever goes over one that was made without looking.
    """

    def __init__(self, settings: Settings, names: Names | None = None) -> None:
        """Take the timeouts, and where the names that users choose are looked up; nothing is connected yet."""
        self._settings = settings
        self._http = _http(Transport(settings))
        self._guarded_http = _http(Transport(settings, public_only=True, names=names or Names()))
        self._corrections = Corrections()
        self._client = lru_cache(MAX_CLIENTS)(self._build_client)

    def complete(self, account: Account, parameters: dict[str, Any]) -> Answer:
        """Ask for a chat completion. Raises `Failure`."""
        asking.current().user = account.user
        return complete(self._client_for(account), account, parameters, self._settings, self._corrections)

    def check(self, account: Account) -> None:
        """Ask whether the provider takes the key, at no cost, within ten seconds. Raises `Failure` if it does not."""
        client = self._client_for(account)
        with asking.apart():
            asking.current().user = account.user
            check_key(client, account)

    def close(self) -> None:
        """Close the idle connections."""
        self._http.close()
        self._guarded_http.close()

    def _client_for(self, account: Account) -> openai.OpenAI:
        account.check_characters()
        try:
            return self._client(account.base_url, tuple(account.query.items()), account.chosen_by_user)
        except ValueError as error:
            raise Failure(Code.BAD_KEY, account.wrong_address) from error

    def _build_client(self, base_url: str, query: tuple[tuple[str, str], ...], chosen_by_user: bool) -> openai.OpenAI:  # noqa: FBT001 - a cache's key
        """Make a client. Raises `ValueError` for what is no address, `Failure` for what a user may not choose."""
        allowed = self._settings.endpoint_allowlist
        if chosen_by_user:
            check_endpoint(base_url, allowed)
        elif parse(base_url) is None:
            raise ValueError(base_url)
        is_guarded = chosen_by_user and not is_listed(base_url, allowed)
        return _Client(
            api_key="sent with each request",
            base_url=base_url,
            default_query=dict(query),
            max_retries=0,
            http_client=self._guarded_http if is_guarded else self._http,
        )


class _Client(openai.OpenAI):
    """The SDK's client, without headers that tell of this machine.

    They do not leave. To make them, each of the first requests of a process would run a program, two thousand at once.
    """

    def platform_headers(self) -> dict[str, str]:
        """Return none."""
        return {}


def _http(transport: Transport) -> httpx2.Client:
    return httpx2.Client(transport=transport, follow_redirects=False, trust_env=False, timeout=None)
