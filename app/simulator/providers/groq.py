"""Groq: OpenAI's events without padding, usage unasked, and a schema that knows fewer keys."""

import re
from types import MappingProxyType
from typing import Any

from ..provider import (
    CREATED,
    DONE,
    Content,
    Json,
    Refusal,
    Renderer,
    Request,
    SimulatedProvider,
    bearer,
    encode,
    event,
    messages_in,
    model_in,
)

# https://console.groq.com/docs/openai: logprobs, logit_bias, top_logprobs and a message's name are not supported.
_KNOWN = frozenset(
    """
    citation_options compound_custom disable_tool_validation documents exclude_domains frequency_penalty function_call
    functions include_domains include_reasoning max_completion_tokens max_tokens messages metadata model n
    parallel_tool_calls presence_penalty reasoning_effort reasoning_format response_format search_settings seed
    service_tier stop store stream stream_options temperature tool_choice tools top_p user
    """.split()
)
_KNOWN_IN_MESSAGES = frozenset(("content", "reasoning", "role", "tool_call_id", "tool_calls"))
_REQUEST = "req_01simulated"


def _error(message: str, kind: str, code: str | None = None, param: str | None = None) -> Json:
    optional = {"param": param, "code": code}
    error = {"message": message, "type": kind, **{name: value for name, value in optional.items() if value}}
    return {"error": error}


def _invalid(message: str, code: str | None = None, param: str | None = None) -> Json:
    return _error(message, "invalid_request_error", code, param)


_RATE = (
    "Rate limit reached for model `{base}` in organization `org_simulator` service tier `on_demand` on tokens per"
    " minute (TPM): Limit 6000, Used 5900, Requested 300. Please try again in {retry}s. Need more tokens? Upgrade to"
    " Dev Tier today at https://console.groq.com/settings/billing"
)
_TOO_LARGE = (
    "Request too large for model `{base}` in organization `org_simulator` service tier `on_demand` on tokens per"
    " minute (TPM): Limit 6000, Requested 8000, please reduce your message size and try again."
)
_FLEX = "Flex tier capacity exceeded. Please try again later, or use the on_demand service tier."
_URL = (
    "Unknown request URL: {method} {path}. Please check the URL for typos, or see the docs at"
    " https://console.groq.com/docs/"
)
_QUOTA = _error("You exceeded your current quota.", "insufficient_quota", "insufficient_quota")
_SERVER = _error("Internal Server Error", "internal_server_error")


def _model(path: str, _query: str, body: Json) -> str | None:
    return model_in(body) if path == "/openai/v1/chat/completions" else None


def _check(request: Request) -> Refusal | None:
    for name in sorted(request.body.keys() - _KNOWN):
        return Refusal(400, _invalid(f"property '{name}' is unsupported"))
    if "messages" not in request.body:
        return Refusal(400, _invalid("'messages' : property 'messages' is missing"))
    if request.body.get("n") not in (None, 1):
        return Refusal(400, _invalid("'n' : number must be at most 1"))
    for number, message in enumerate(messages_in(request.body)):
        for name in sorted(message.keys() - _KNOWN_IN_MESSAGES):
            at = f"'messages.{number}'"
            reason = f"for 'role:{message.get('role')}' the following must be satisfied"
            return Refusal(400, _invalid(f"{at} : {reason}[({at} : property '{name}' is unsupported)]"))
    return None


def _usage(content: Content) -> Json:
    times = {"queue_time": 0.061, "prompt_time": 0.002, "completion_time": 0.064, "total_time": 0.066}
    return {**times, **content.tokens}


def _chunk(content: Content, delta: Json, finish: str | None = None) -> dict[str, Any]:
    return {
        "id": "chatcmpl-simulated",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": content.model,
        "system_fingerprint": "fp_simulated",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
    }


def _opening(content: Content) -> tuple[bytes, ...]:
    first = _chunk(content, {"role": "assistant", "content": ""})
    return (event({**first, "x_groq": {"id": _REQUEST}}),)


def _reasoning(content: Content, _number: int, text: str) -> bytes:
    return event(_chunk(content, {"reasoning": text, "channel": "analysis"}))


def _word(content: Content, _number: int, text: str) -> bytes:
    return event(_chunk(content, {"content": text}))


def _ending(content: Content) -> tuple[bytes, ...]:
    finish = _chunk(content, {}, content.finish)
    if content.usage == "never":
        finish["x_groq"] = {"id": _REQUEST}
    else:
        finish["x_groq"] = {"id": _REQUEST, "usage": _usage(content)}
        finish["usage"] = _usage(content)
    return event(finish), DONE


def _whole(content: Content) -> bytes:
    message = {"role": "assistant", "content": "".join(content.words)}
    if content.reasoning:
        message["reasoning"] = "".join(content.reasoning)
    value = {
        "id": "chatcmpl-simulated",
        "object": "chat.completion",
        "created": CREATED,
        "model": content.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": content.finish}],
        **({} if content.usage == "never" else {"usage": _usage(content)}),
        "usage_breakdown": None,
        "system_fingerprint": "fp_simulated",
        "x_groq": {"id": _REQUEST},
        "service_tier": "on_demand",
    }
    return encode(value)


_MODEL = {
    "id": "openai/gpt-oss-20b",
    "object": "model",
    "created": CREATED,
    "owned_by": "OpenAI",
    "active": True,
    "context_window": 131072,
    "public_apps": None,
    "max_completion_tokens": 65536,
}
_MODELS = {"object": "list", "data": [_MODEL]}

GROQ = SimulatedProvider(
    name="groq",
    base="/groq/openai/v1",
    stream_type="text/event-stream; charset=utf-8",
    headers=MappingProxyType(
        {
            "cache-control": "no-cache",
            "x-groq-region": "simulator",
            "x-ratelimit-limit-requests": "14400",
            "x-ratelimit-limit-tokens": "6000",
            "x-ratelimit-remaining-requests": "{left}",
            "x-ratelimit-remaining-tokens": "5900",
            "x-ratelimit-reset-requests": "6s",
            "x-ratelimit-reset-tokens": "1s",
            "x-request-id": "req_{id}",
        }
    ),
    key=bearer,
    model=_model,
    check=_check,
    models_path=re.compile(r"/openai/v1/models\?.*"),
    models=_MODELS,
    refusals=MappingProxyType(
        {
            "path": Refusal(404, _invalid(_URL, "unknown_url")),
            "no key": Refusal(401, _invalid("Invalid API Key", "invalid_api_key")),
            "wrong key": Refusal(401, _invalid("Invalid API Key", "invalid_api_key")),
            "json": Refusal(400, _invalid("The request body is not valid JSON.")),
            "no model": Refusal(400, _invalid("'model' : property 'model' is missing")),
            "unknown model": Refusal(
                404,
                _invalid("The model `{model}` does not exist or you do not have access to it.", "model_not_found"),
            ),
            "invalid": Refusal(400, _invalid("{detail}")),
            "context": Refusal(
                400,
                _invalid(
                    "Please reduce the length of the messages or completion.", "context_length_exceeded", "messages"
                ),
            ),
            "rate": Refusal(429, _error(_RATE, "tokens", "rate_limit_exceeded")),
            "quota": Refusal(429, _QUOTA),
            "filter": Refusal(400, _invalid("The prompt was refused by the content filter.", "content_filter")),
            "server": Refusal(500, _SERVER),
        }
    ),
    refusals_by_status=MappingProxyType(
        {
            413: Refusal(413, _error(_TOO_LARGE, "tokens", "rate_limit_exceeded")),
            498: Refusal(498, _error(_FLEX, "invalid_request_error", "capacity_exceeded")),
            503: Refusal(503, _error("Service Unavailable", "service_unavailable")),
        }
    ),
    renderer=Renderer(_opening, _reasoning, _word, _ending, event(_SERVER), _whole),
)
