"""The OpenAI SDK over our connections: what is left of it is its request loop, with its error classes.

| step of a request                             | whose                                              |
|-----------------------------------------------|----------------------------------------------------|
| the order of the steps                        | the SDK's: `request`, with no retries of its own   |
| address, headers, body                        | ours: `_build_request`                             |
| the connection, the bytes, deadlines, retries | ours: `_Transport` over `Pool`; `Upstream`         |
| an error status -> an exception               | the SDK's: `openai.APIStatusError` and its kinds   |
| the stream of the answer                      | ours: `Exchange`, `Reading`                        |

The SDK's own way to build and send costs more than all the rest of a chat, and adds headers about this machine and from
the environment (`OPENAI_*`).
"""

from collections.abc import Mapping
from copy import copy
from functools import lru_cache
from typing import Any, NamedTuple

import httpx2
import msgspec
import openai
from openai._models import FinalRequestOptions

from .call import Call
from .egress import origin_of
from .pool import Exchange, Pool, Refused

_Stream = openai.Stream[object]
_UNREAD = httpx2.ByteStream(b"")
"""In place of a body: without a stream, httpx2 would read and decode one at once, for 8 % of the CPU of a chat."""


class SDK:
    """The SDK's client over one pool of connections."""

    def __init__(self, pool: Pool) -> None:
        """Take the connections; nothing is sent yet."""
        transport = _Transport(pool)
        http = httpx2.Client(transport=transport, follow_redirects=False, trust_env=False, timeout=None)
        known: dict[str, Any] = {"api_key": "of each account", "base_url": "https://of.each.account.invalid"}
        self._client = _Client(**known, organization="", project="", max_retries=0, http_client=http)
        self._client.transport = transport
        same: Any = {"url": "", "idempotency_key": ""}  # for which the SDK would make a UUID
        self._options = {method: FinalRequestOptions.construct(**same, method=method) for method in ("get", "post")}
        """What the SDK's own `get` and `post` would construct for each request, at a seventh of its cost."""

    def send(self, call: Call, path: str, body: Mapping[str, Any] | None) -> Exchange:
        """POST a body as JSON, or GET without one. Returns with the headers, or at the call's deadline without them.

        Raises `Refused` for an error status, and `Failure` if the provider cannot be reached.
        """
        options = copy(self._options["get" if body is None else "post"])
        options.url, options.extra_json = path, _Outgoing(call, body)  # type: ignore[assignment]
        try:
            response: Any = self._client.request(object, options, stream=True, stream_cls=_Stream)
        except openai.APIStatusError as error:
            refused: Refused = error.response.extensions["refused"]
            raise refused from error
        exchange: Exchange = response.extensions["exchange"]
        return exchange


class _Outgoing(NamedTuple):
    """The call and its body, which the SDK passes through to `_build_request`."""

    call: Call
    body: Mapping[str, Any] | None


class _Client(openai.OpenAI):
    """The SDK's client without its own headers, its own kinds of login, and httpx2's way to the transport."""

    transport: httpx2.BaseTransport

    def _build_request(self, options: Any, *, retries_taken: int = 0) -> httpx2.Request:  # noqa: ANN401, ARG002
        call, body = options.extra_json
        account = call.account
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "sluice"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return httpx2.Request(
            options.method,
            _url(account.base_url, options.url, tuple(account.query.items())),
            headers=headers | account.outbound(),
            content=None if body is None else msgspec.json.encode(body),
            extensions={"call": call},
        )

    def _prepare_options(self, options: FinalRequestOptions) -> FinalRequestOptions:
        return options

    def _prepare_request(self, request: httpx2.Request) -> None:
        """Add nothing."""

    def _custom_auth(self, security: object) -> None:
        """Need no login: the account's headers are complete."""

    def _send_request(self, request: httpx2.Request, **_: Any) -> httpx2.Response:  # noqa: ANN401
        return self.transport.handle_request(request)

    def _process_response(self, *, response: httpx2.Response, **_: Any) -> Any:  # noqa: ANN401
        return response


class _Transport(httpx2.BaseTransport):
    """The SDK's transport: it sends over our connection pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; the answer stays unread in an `Exchange`, except for the body of an error.

        If the headers do not come in time, the status 200 is assumed: the client has to get its own headers now, and
        the exchange goes on waiting for the provider's.
        """
        exchange = self._pool.send(origin_of(request.url), _bytes(request), request.extensions["call"])
        if exchange.is_refused:
            refused = exchange.refusal()
            return httpx2.Response(
                refused.status, request=request, content=refused.content, extensions={"refused": refused}
            )
        return httpx2.Response(200, request=request, stream=_UNREAD, extensions={"exchange": exchange})


@lru_cache(1000)
def _url(base_url: str, path: str, query: tuple[tuple[str, str], ...]) -> httpx2.URL:
    """Return the address of a path below a base URL."""
    base = httpx2.URL(base_url)
    below = base.raw_path.rstrip(b"/") + path.encode()
    return base.copy_with(raw_path=below).copy_merge_params(dict(query)) if query else base.copy_with(raw_path=below)


def _bytes(request: httpx2.Request) -> bytes:
    """Write a request as HTTP/1.1."""
    head = [
        b"%s %s HTTP/1.1" % (request.method.encode(), request.url.raw_path),
        *(b"%s: %s" % (name.lower(), value) for name, value in request.headers.raw),
    ]
    return b"\r\n".join(head) + b"\r\n\r\n" + request.read()
