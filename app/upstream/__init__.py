"""Asking a provider: the connection, the bytes, one loop that reads the answer. Knows no dialect."""

from functools import cached_property, lru_cache
from importlib import import_module
from time import monotonic
from typing import TYPE_CHECKING

from ..answer import Answer
from ..config import Settings
from ..failure import Code, Failure
from ..wait import Wait, pause, wait_alone
from .account import Account
from .call import Call, Trace
from .corrections import Corrections
from .dialect import Dialect, Json
from .egress import check_endpoint, is_listed, parse
from .names import Names
from .pool import Exchange, Pool, Refused
from .reading import Reading

if TYPE_CHECKING:
    from .sdk import SDK

CHECK_SECONDS = 8.0
"""How long a check of a key waits; the body of an error answer may take the pool's `ERROR_SECONDS` more."""
RETRY_SECONDS = 0.2
"""The backoff between a failed connect and the second."""
MAX_ADDRESSES = 500
"""For how many base URLs the result of the endpoint check is cached."""


class Upstream:
    """The state that all calls share: the connection pools, and the parameters that servers have refused.

    Where a user chose the base URL, connections lead to public addresses only. They have a pool of their own, so that
    no such call uses a connection that was made without that check.
    """

    def __init__(self, settings: Settings, names: Names | None = None) -> None:
        """Take the timeouts, and the look-up for host names that users choose; nothing is connected yet."""
        self._settings = settings
        self._pool = Pool(settings)
        self._guarded_pool = Pool(settings, public_only=True, names=names or Names())
        self._corrections = Corrections()
        self._sender = lru_cache(MAX_ADDRESSES)(self._find_sender)

    def ask(  # noqa: PLR0913 - the account, the dialect, the request, and how to wait and record
        self,
        account: Account,
        dialect: Dialect,
        path: str,
        body: Json,
        *,
        wait: Wait = wait_alone,
        trace: Trace | None = None,
    ) -> Answer:
        """Ask for a streamed answer. Raises `Failure`.

        Returns when the provider has accepted the request, or has not answered within `commit_seconds`. Retries once
        where no answer was begun: after a failed connect, a short `Retry-After`, or a refused optional parameter. The
        trace has the answer's events and usage once the answer is closed.
        """
        started, settings = monotonic(), self._settings
        deadline = started + min(settings.commit_seconds, settings.first_event_timeout_seconds)
        call = Call(account, dialect, deadline, wait, trace or Trace())
        reading = Reading(self._send_corrected(call, path, body), call, settings, started)
        return Answer(reading.batches(), reading.close)

    def check(self, account: Account, dialect: Dialect) -> None:
        """Ask once for the list of models, which is free. Raises `Failure` unless the provider accepts the key."""
        exchange = self._send(Call(account, dialect, monotonic() + CHECK_SECONDS), dialect.MODELS_PATH, None)
        exchange.close()
        if exchange.head is None:
            raise Failure(Code.UP_TIMEOUT, f"{account.name} took too long to answer. Please try again.")

    def load(self) -> None:
        """Import the SDK, which takes as long as all the rest: at a server's start, else at the first chat."""
        _ = self._sdks

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.close()
        self._guarded_pool.close()

    def _send_corrected(self, call: Call, path: str, body: Json) -> Exchange:
        """Send; if an optional parameter is refused, send again without it.

        That request does not count as a retry: a refusal of this kind costs nothing.
        """
        base_url, dialect = call.account.base_url, call.dialect
        body = self._corrections.without_refused(base_url, body)
        try:
            return self._send_twice(call, path, body)
        except Failure as failure:
            corrected = dialect.corrected(body, failure)
            if corrected is None:
                raise
        body, refused = corrected
        call.allowed += 1
        exchange = self._send_twice(call, path, body)
        if exchange.head is not None:
            self._corrections.remember(base_url, refused)
        return exchange

    def _send_twice(self, call: Call, path: str, body: Json) -> Exchange:
        """Send; retry once after a short delay if the failure allows it."""
        try:
            return self._send(call, path, body)
        except Failure as failure:
            delay = _delay(failure)
            if delay is None or not call.may_retry or monotonic() + delay >= call.deadline:
                raise
        pause(call.wait, delay)
        return self._send(call, path, body)

    def _send(self, call: Call, path: str, body: Json | None) -> Exchange:
        account = call.account
        account.check_characters()
        try:
            sender = self._sender(account.base_url, account.chosen_by_user)
        except ValueError as error:
            raise Failure(Code.BAD_KEY, account.wrong_address) from error
        try:
            return sender.send(call, path, body)
        except Refused as refused:
            raise call.dialect.refused(account, refused.status, refused.headers, refused.content) from refused

    @cached_property
    def _sdks(self) -> "tuple[SDK, SDK]":
        """The SDK over each of the two pools, imported at its first use: commands do not need it."""
        sdk = import_module(".sdk", __package__)
        return sdk.SDK(self._pool), sdk.SDK(self._guarded_pool)

    def _find_sender(self, base_url: str, chosen_by_user: bool) -> "SDK":  # noqa: FBT001 - a cache's key
        """Choose the pool. Raises `ValueError` for an invalid URL, `Failure` for one that users may not choose."""
        allowed = self._settings.endpoint_allowlist
        if chosen_by_user:
            check_endpoint(base_url, allowed)
        elif parse(base_url) is None:
            raise ValueError(base_url)
        open_, guarded = self._sdks
        return guarded if chosen_by_user and not is_listed(base_url, allowed) else open_


def _delay(failure: Failure) -> float | None:
    """Return after how many seconds to retry, or None for a failure that is not retried."""
    if failure.code is Code.UP_CONNECT:
        return RETRY_SECONDS
    delay = failure.headers.get("Retry-After", "")
    is_busy = failure.code in {Code.PROVIDER_RATE_LIMITED, Code.PROVIDER_OVERLOADED}
    return int(delay) if is_busy and delay in {"0", "1", "2"} else None
