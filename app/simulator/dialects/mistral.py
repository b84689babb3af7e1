"""Mistral: a strict schema, content that may be a list, and errors in three shapes."""

import re
from types import MappingProxyType
from typing import Any

from ..dialect import (
    CREATED,
    DONE,
    Asked,
    Dialect,
    Json,
    Rejection,
    Story,
    Voice,
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


def _unfit(kind: str, where: list[Any], message: str, given: object, **more: object) -> Rejection:
    """Return the schema's refusal, whose `message` is an object."""
    detail = {"type": kind, "loc": ["body", *where], "msg": message, "input": given, **more}
    return Rejection(422, _error({"detail": [detail]}, "invalid_request_error"))


_FORBIDDEN = ("extra_forbidden", "Extra inputs are not permitted")
_CONTEXT = "Prompt contains 160042 tokens and 0 draft tokens, too large for model with 131072 maximum context length"


def _model(path: str, _query: str, body: Json) -> str | None:
    return model_in(body) if path == "/v1/chat/completions" else None


def _check(asked: Asked) -> Rejection | None:
    kind, sentence = _FORBIDDEN
    for name, value in asked.body.items():
        if name not in _KNOWN or (name == "tools" and not value):
            return _unfit(kind, [name], sentence, value)
    if "messages" not in asked.body:
        return _unfit("missing", ["messages"], "Field required", asked.body)
    checked = (_check_message(number, message) for number, message in enumerate(messages_in(asked.body)))
    return next((refusal for refusal in checked if refusal), None)


def _check_message(number: int, message: Json) -> Rejection | None:
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


def _chunk(story: Story, delta: Json, finish: str | None = None) -> Json:
    return {
        "id": "simulated",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": story.model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }


def _thinking(text: str) -> Json:
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}


def _opening(story: Story) -> tuple[bytes, ...]:
    return (event(_chunk(story, {"role": "assistant", "content": ""})),)


def _thought(story: Story, _number: int, text: str) -> bytes:
    return event(_chunk(story, {"content": [_thinking(text)]}))


def _word(story: Story, number: int, text: str) -> bytes:
    # A model that reasons sends its text in both forms, mixed.
    listed = story.thoughts and number % 2 == 0
    return event(_chunk(story, {"content": [{"type": "text", "text": text}] if listed else text}))


def _ending(story: Story) -> tuple[bytes, ...]:
    last = _chunk(story, {"content": ""}, story.finish)
    counted = {} if story.usage == "never" else {"usage": story.tokens}
    return event({**last, **counted}), DONE


def _whole(story: Story) -> bytes:
    text = "".join(story.words)
    listed = [_thinking("".join(story.thoughts)), {"type": "text", "text": text}]
    message = {"role": "assistant", "tool_calls": None, "content": listed if story.thoughts else text}
    value = {
        "id": "simulated",
        "object": "chat.completion",
        "created": CREATED,
        "model": story.model,
        "choices": [{"index": 0, "message": message, "finish_reason": story.finish}],
        **({} if story.usage == "never" else {"usage": story.tokens}),
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

MISTRAL = Dialect(
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
            "path": Rejection(404, {"message": "no Route matched with those values", "request_id": "{id}"}),
            "no key": Rejection(401, {"detail": "Unauthorized"}),
            "wrong key": Rejection(401, {"detail": "Unauthorized"}),
            "json": _unfit("json_invalid", [0], "JSON decode error", {}),
            "no model": _unfit("missing", ["model"], "Field required", None),
            "unknown model": Rejection(400, _error("Invalid model: {model}", "invalid_model", "1500")),
            "invalid": Rejection(400, _error("{detail}", "invalid_request_error", None)),
            "context": Rejection(400, _error(_CONTEXT, "invalid_request_error", "3051")),
            "rate": Rejection(429, {**_error("Rate limit exceeded", "rate_limited", "1300"), "raw_status_code": 429}),
            "quota": Rejection(429, _QUOTA),
            "filter": Rejection(400, _error("The prompt was refused by the content filter.", "content_filter")),
            "server": Rejection(500, _SERVER),
        }
    ),
    refusals_by_status=MappingProxyType(
        {
            422: _unfit(_FORBIDDEN[0], ["simulated"], _FORBIDDEN[1], None),
            503: Rejection(503, _error("Service unavailable.", "unreachable_backend", "1100")),
        }
    ),
    voice=Voice(_opening, _thought, _word, _ending, event(_SERVER), _whole),
)
