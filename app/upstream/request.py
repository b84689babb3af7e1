"""One request to a provider: built and sent by the OpenAI SDK, its answer left to us."""

from typing import Any

import openai

from .account import Account
from .refusal import refused
from .transport import Body

_UNREAD = {"X-Stainless-Raw-Response": "stream"}
"""What the SDK's `with_streaming_response` marks a request with; it does not leave."""


def send(
    client: openai.OpenAI, account: Account, path: str, seconds: float, parameters: dict[str, Any] | None = None
) -> Body:
    """POST the parameters, or GET where there are none, and return the answer's body unread.

    After so many seconds without headers, the body has not `begun`. The SDK's `chat.completions.create` would first fit
    every message to its types, at the cost of all the rest of a request. Raises `Failure` for an error status.
    """
    options: Any = {"headers": {**account.outbound(), **_UNREAD}, "timeout": max(seconds, 0)}
    raw: dict[str, Any] = {"cast_to": object, "options": options, "stream": True, "stream_cls": openai.Stream[object]}
    try:
        response: Any = client.get(path, **raw) if parameters is None else client.post(path, body=parameters, **raw)
    except openai.APIStatusError as error:
        answer = error.response
        raise refused(account, answer.status_code, answer.headers, answer.content) from error
    body: Body = response.http_response.extensions["body"]
    return body
