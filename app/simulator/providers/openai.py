"""OpenAI: the form of chat completions that the others come from."""

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

_KNOWN = frozenset(
    """
    audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens messages
    metadata modalities model moderation n parallel_tool_calls prediction presence_penalty prompt_cache_key
    prompt_cache_options prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier
    stop store stream stream_options temperature tool_choice tools top_logprobs top_p user verbosity web_search_options
    """.split()
)
_KNOWN_IN_MESSAGES = frozenset("audio content function_call name refusal role tool_call_id tool_calls".split())
# Not 35 and 45: so Azure's deployments spell gpt-3.5 and gpt-4.5.
_REASONING = re.compile(r"o\d+(-|$)|gpt-(?!5-chat|35|45)([5-9]|\d\d)(?!\d)")
_ONLY_DEFAULT = MappingProxyType({"temperature": 1, "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0})
_PADDING = "aVx0mLq9RzT3kWd7"


def _error(message: str, kind: str, param: str | None = None, code: str | None = None) -> Json:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def invalid(message: str, param: str | None = None, code: str | None = None) -> Json:
    """Return the body of a 400."""
    return _error(message, "invalid_request_error", param, code)


_SERVER = _error("The server had an error while processing your request. Sorry about that!", "server_error")

_NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth"
    " (i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're accessing the API"
    " from your browser and are prompted for a username and password. You can obtain an API key from"
    " https://platform.openai.com/account/api-keys."
)
_WRONG_KEY = (
    "Incorrect API key provided: {masked}. You can find your API key at https://platform.openai.com/account/api-keys."
)
_CONTEXT = (
    "This model's maximum context length is 128000 tokens. However, your messages resulted in 160042 tokens. Please"
    " reduce the length of the messages."
)
_RATE = (
    "Rate limit reached for {base} in organization org-simulator on requests per min (RPM): Limit 10000, Used 10000,"
    " Requested 1. Please try again in 6ms. Visit https://platform.openai.com/account/rate-limits to learn more."
)
QUOTA = (
    "You exceeded your current quota, please check your plan and billing details. For more information on this error,"
    " read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."
)
_FILTER = "Invalid prompt: your prompt was flagged as potentially violating our usage policy. Please try another one."


def chunk(content: Content, delta: Json | None, finish: str | None = None, usage: Json | None = None) -> Json:
    """Return one event of a stream; without a delta it has no choice."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    value: dict[str, Any] = {
        "id": "chatcmpl-simulated",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": content.model,
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
        "choices": [] if delta is None else [choice],
    }
    if content.usage == "asked":
        value["usage"] = usage
    if content.padded:
        # The real padding hides how long a word is from who watches the encrypted stream.
        value["obfuscation"] = _PADDING[len((delta or {}).get("content") or "") % len(_PADDING) :]
    return value


def usage(content: Content) -> Json:
    """Return the token counts, the reasoning's apart."""
    return {
        **content.tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": len(content.reasoning),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def reasoning_delta(text: str) -> Json:
    """Return a piece of reasoning as the servers do that speak this dialect.

    OpenAI's own stream is silent while its models think. DeepSeek, vLLM and models from others on Azure are not.
    """
    return {"reasoning_content": text}


def completion(content: Content) -> Json:
    """Return an answer that is not streamed."""
    message: Json = {"role": "assistant", "content": "".join(content.words), "refusal": None, "annotations": []}
    if content.reasoning:
        message.update(reasoning_delta("".join(content.reasoning)))
    return {
        "id": "chatcmpl-simulated",
        "object": "chat.completion",
        "created": CREATED,
        "model": content.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": content.finish}],
        **({} if content.usage == "never" else {"usage": usage(content)}),
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
    }


def check(request: Request) -> Refusal | None:
    """Refuse what a request may not contain, and what a reasoning model does not take."""
    unknown = request.body.keys() - _KNOWN
    if unknown:
        plural = "s" if len(unknown) > 1 else ""
        names = ", ".join(sorted(unknown))
        return Refusal(400, invalid(f"Unrecognized request argument{plural} supplied: {names}"))
    if "messages" not in request.body:
        message = "Missing required parameter: 'messages'."
        return Refusal(400, invalid(message, "messages", "missing_required_parameter"))
    return _check_messages(request.body) or (_check_reasoning(request.body) if _REASONING.match(request.base) else None)


def _check_messages(body: Json) -> Refusal | None:
    for number, message in enumerate(messages_in(body)):
        for name in sorted(message.keys() - _KNOWN_IN_MESSAGES):
            param = f"messages[{number}].{name}"
            return Refusal(400, invalid(f"Unknown parameter: '{param}'.", param, "unknown_parameter"))
    return None


def _check_reasoning(body: Json) -> Refusal | None:
    if body.get("max_tokens") is not None:
        message = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
        return Refusal(400, invalid(message, "max_tokens", "unsupported_parameter"))
    for name, default in _ONLY_DEFAULT.items():
        if (value := body.get(name, default)) not in (default, None):
            message = (
                f"Unsupported value: '{name}' does not support {value} with this model."
                f" Only the default ({default}) value is supported."
            )
            return Refusal(400, invalid(message, name, "unsupported_value"))
    return None


def _model(path: str, _query: str, body: Json) -> str | None:
    return model_in(body) if path == "/v1/chat/completions" else None


def _opening(content: Content) -> tuple[bytes, ...]:
    return (event(chunk(content, {"role": "assistant", "content": "", "refusal": None})),)


def _reasoning(content: Content, _number: int, text: str) -> bytes:
    return event(chunk(content, reasoning_delta(text)))


def _word(content: Content, _number: int, text: str) -> bytes:
    return event(chunk(content, {"content": text}))


def _ending(content: Content) -> tuple[bytes, ...]:
    finish = event(chunk(content, {}, content.finish))
    counted = (event(chunk(content, None, usage=usage(content))),) if content.usage == "asked" else ()
    return (finish, *counted, DONE)


def _whole(content: Content) -> bytes:
    return encode(completion(content))


_MODELS = {
    "object": "list",
    "data": [{"id": "gpt-4o", "object": "model", "created": CREATED, "owned_by": "system"}],
}

OPENAI = SimulatedProvider(
    name="openai",
    base="/openai/v1",
    stream_type="text/event-stream; charset=utf-8",
    headers=MappingProxyType(
        {
            "openai-organization": "org-simulator",
            "openai-processing-ms": "42",
            "openai-version": "2020-10-01",
            "x-ratelimit-limit-requests": "10000",
            "x-ratelimit-limit-tokens": "2000000",
            "x-ratelimit-remaining-requests": "{left}",
            "x-ratelimit-remaining-tokens": "1999000",
            "x-ratelimit-reset-requests": "6ms",
            "x-ratelimit-reset-tokens": "30ms",
            "x-request-id": "req_{id}",
        }
    ),
    key=bearer,
    model=_model,
    check=check,
    models_path=re.compile(r"/v1/models\?.*"),
    models=_MODELS,
    refusals=MappingProxyType(
        {
            "path": Refusal(404, invalid("Invalid URL ({method} {path})")),
            "no key": Refusal(401, invalid(_NO_KEY)),
            "wrong key": Refusal(401, invalid(_WRONG_KEY, code="invalid_api_key")),
            "json": Refusal(400, invalid("We could not parse the JSON body of your request.")),
            "no model": Refusal(400, invalid("you must provide a model parameter")),
            "unknown model": Refusal(
                404,
                invalid("The model `{model}` does not exist or you do not have access to it.", code="model_not_found"),
            ),
            "invalid": Refusal(400, invalid("{detail}")),
            "context": Refusal(400, invalid(_CONTEXT, "messages", "context_length_exceeded")),
            "rate": Refusal(429, _error(_RATE, "requests", None, "rate_limit_exceeded")),
            "quota": Refusal(429, _error(QUOTA, "insufficient_quota", None, "insufficient_quota")),
            "filter": Refusal(400, invalid(_FILTER, "prompt", "content_filter")),
            "server": Refusal(500, _SERVER),
        }
    ),
    refusals_by_status=MappingProxyType(
        {503: Refusal(503, _error("The engine is currently overloaded, please try again later", "server_error"))}
    ),
    renderer=Renderer(_opening, _reasoning, _word, _ending, event(_SERVER), _whole),
)
