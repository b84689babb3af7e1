"""Asking: the connection, the bytes, and the provider's event stream -> pieces."""

import re
from functools import lru_cache
from typing import Any

import httpx2
import openai

from app.answer import Answer, Failure
from app.config import Settings
from app.upstream.completions import complete
from app.upstream.transport import Transport

MAX_CLIENTS = 500


class Upstream:
    """What all questions share: one transport, and the SDK's clients, one for each base URL and holding no key."""

    def __init__(self, settings: Settings) -> None:
        """Take the timeouts; nothing is connected yet."""
        self._settings = settings
        self._http = httpx2.Client(transport=Transport(settings), follow_redirects=False, trust_env=False, timeout=None)
        self._client = lru_cache(MAX_CLIENTS)(self._build_client)

    def complete(  # noqa: PLR0913 - each is one part of a request, and named at every call
        self,
        *,
        label: str,
        base_url: str,
        key: str,
        parameters: dict[str, Any],
        headers: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
    ) -> Answer:
        """Ask an OpenAI-shaped chat completions endpoint.

        The key travels as `Authorization: Bearer`, unless `headers` carries an `api-key`. Raises `Failure`.
        """
        headers = headers or {}
        for value in (key, *headers.values()):
            if not re.fullmatch(r"[\x21-\x7e]+", value):
                message = (
                    f"{label} API Key contains characters that no key has. Please fix it in your profile settings."
                )
                raise Failure(400, "bad_key", message)
        try:
            client = self._client(base_url, tuple((query or {}).items()))
        except ValueError as error:
            message = f"{label}'s address cannot be used. Please fix it in your profile settings."
            raise Failure(400, "bad_key", message) from error
        return complete(client, label, key, parameters, _headers(key, headers), self._settings)

    def _build_client(self, base_url: str, query: tuple[tuple[str, str], ...]) -> openai.OpenAI:
        """Make a client. Raises `ValueError` for what is no address."""
        _check_address(base_url)
        return openai.OpenAI(
            api_key="sent with each request",
            base_url=base_url,
            default_query=dict(query),
            max_retries=0,
            http_client=self._http,
        )


def _check_address(base_url: str) -> None:
    try:
        url = httpx2.URL(base_url)
    except httpx2.InvalidURL as error:
        raise ValueError(base_url) from error
    if url.scheme not in ("https", "http") or not url.host:
        raise ValueError(base_url)


def _headers(key: str, headers: dict[str, str]) -> dict[str, str | openai.Omit]:
    """Set, or omit, every header that the SDK would fill from `OPENAI_*`, whatever the base URL.

    What can be neither set nor omitted here is stopped by the transport's list.
    """
    return {
        "User-Agent": "sluice",
        "Authorization": openai.Omit() if "api-key" in headers else f"Bearer {key}",
        "OpenAI-Organization": openai.Omit(),
        "api-key": openai.Omit(),
        **headers,
    }
