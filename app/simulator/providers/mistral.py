"""Mistral: a strict schema, content that may be a list, and errors in three shapes."""

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
    frequency_penalty guardrails max_tokens messages model parallel_tool_calls prediction presence_penalty
    prompt_cache_key prompt_mode random_seed reasoning_effort response_format safe_prompt stop stream temperature
    tool_choice tools top_p
    """.split()
)
_KNOWN_IN_MESSAGES = MappingProxyType(
    {
        "system": {"role", "content"},
        "user": {"role", "content"},
        "assistant": {"role", "content", "tool_calls", "prefix"},
        "tool": {"role", "content", "tool_call_id", "name"},
    }
)


def _error(message: str | Json, kind: str, code: str | None = None) -> Json:
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


def _unfit(kind: str, where: list[Any], message: str, given: object, **more: object) -> Refusal:
    """Return the schema's refusal, whose `message` is an object."""
    detail = {"type": kind, "loc": ["body", *where], "msg": message, "input": given, **more}
    return Refusal(422, _error({"detail": [detail]}, "invalid_request_error"))


_FORBIDDEN = ("extra_forbidden", "Extra inputs are not permitted")
_CONTEXT = "Prompt contains 160042 tokens and 0 draft tokens, too large for model with 131072 maximum context length"


def _model(path: str, _query: str, body: Json) -> str | None:
    return model_in(body) if path == "/v1/chat/completions" else None


def _check(request: Request) -> Refusal | None:
    kind, sentence = _FORBIDDEN
    for name, value in request.body.items():
        if name not in _KNOWN or (name == "tools" and not value):
            return _unfit(kind, [name], sentence, value)
    if "messages" not in request.body:
        return _unfit("missing", ["messages"], "Field required", request.body)
    checked = (_check_message(number, message) for number, message in enumerate(messages_in(request.body)))
    return next((refusal for refusal in checked if refusal), None)


def _check_message(number: int, message: Json) -> Refusal | None:
    role = message.get("role")
    known = _KNOWN_IN_MESSAGES.get(str(role))
    if known is None:
        expected = ", ".join(f"'{name}'" for name in _KNOWN_IN_MESSAGES)
        sentence = f"Input tag '{role}' found using 'role' does not match any of the expected tags: {expected}"
        context = {"discriminator": "'role'", "tag": role, "expected_tags": expected}
        return _unfit("union_tag_invalid", ["messages", number], sentence, message, ctx=context)
    kind, sentence = _FORBIDDEN
    for name, value in message.items():
        if name not in known:
            return _unfit(kind, ["messages", number, role, name], sentence, value)
    return None


def _chunk(content: Content, delta: Json, finish: str | None = None) -> Json:
    return {
        "id": "simulated",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": content.model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }


def _thinking(text: str) -> Json:
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}


def _opening(content: Content) -> tuple[bytes, ...]:
    return (event(_chunk(content, {"role": "assistant", "content": ""})),)


def _reasoning(content: Content, _number: int, text: str) -> bytes:
    return event(_chunk(content, {"content": [_thinking(text)]}))


def _word(content: Content, number: int, text: str) -> bytes:
    # A model that reasons sends its text in both forms, mixed.
    listed = content.reasoning and number % 2 == 0
    return event(_chunk(content, {"content": [{"type": "text", "text": text}] if listed else text}))


def _ending(content: Content) -> tuple[bytes, ...]:
    last = _chunk(content, {"content": ""}, content.finish)
    counted = {} if content.usage == "never" else {"usage": content.tokens}
    return event({**last, **counted}), DONE


def _whole(content: Content) -> bytes:
    text = "".join(content.words)
    listed = [_thinking("".join(content.reasoning)), {"type": "text", "text": text}]
    message = {"role": "assistant", "tool_calls": None, "content": listed if content.reasoning else text}
    value = {
        "id": "simulated",
        "object": "chat.completion",
        "created": CREATED,
        "model": content.model,
        "choices": [{"index": 0, "message": message, "finish_reason": content.finish}],
        **({} if content.usage == "never" else {"usage": content.tokens}),
    }
    return encode(value)


_QUOTA = _error("You exceeded your current quota.", "insufficient_quota", "insufficient_quota")
_SERVER = _error("Internal server error", "internal_server_error", "3000")

_MODEL = {
    "id": "mistral-small-latest",
    "object": "model",
    "created": CREATED,
    "owned_by": "mistralai",
    "capabilities": {"completion_chat": True, "completion_fim": False, "function_calling": True, "vision": True},
    "name": "mistral-small-latest",
    "max_context_length": 131072,
    "aliases": [],
    "type": "base",
}
_MODELS = {"object": "list", "data": [_MODEL]}

MISTRAL = SimulatedProvider(
    name="mistral",
    base="/mistral/v1",
    stream_type="text/event-stream",
    headers=MappingProxyType(
        {
            "mistral-correlation-id": "{id}",
            "x-ratelimit-limit-req-minute": "360",
            "x-ratelimit-limit-tokens-minute": "2000000",
            "x-ratelimit-remaining-req-minute": "{left}",
            "x-ratelimit-remaining-tokens-minute": "1999000",
            "x-kong-request-id": "{id}",
        }
    ),
    key=bearer,
    model=_model,
    check=_check,
    models_path=re.compile(r"/v1/models\?.*"),
    models=_MODELS,
    refusals=MappingProxyType(
        {
            "path": Refusal(404, {"message": "no Route matched with those values", "request_id": "{id}"}),
            "no key": Refusal(401, {"detail": "Unauthorized"}),
            "wrong key": Refusal(401, {"detail": "Unauthorized"}),
            "json": _unfit("json_invalid", [0], "JSON decode error", {}),
            "no model": _unfit("missing", ["model"], "Field required", None),
            "unknown model": Refusal(400, _error("Invalid model: {model}", "invalid_model", "1500")),
            "invalid": Refusal(400, _error("{detail}", "invalid_request_error", None)),
            "context": Refusal(400, _error(_CONTEXT, "invalid_request_error", "3051")),
            "rate": Refusal(429, {**_error("Rate limit exceeded", "rate_limited", "1300"), "raw_status_code": 429}),
            "quota": Refusal(429, _QUOTA),
            "filter": Refusal(400, _error("The prompt was refused by the content filter.", "content_filter")),
            "server": Refusal(500, _SERVER),
        }
    ),
    refusals_by_status=MappingProxyType(
        {
            422: _unfit(_FORBIDDEN[0], ["simulated"], _FORBIDDEN[1], None),
            503: Refusal(503, _error("Service unavailable.", "unreachable_backend", "1100")),
        }
    ),
    renderer=Renderer(_opening, _reasoning, _word, _ending, event(_SERVER), _whole),
)
