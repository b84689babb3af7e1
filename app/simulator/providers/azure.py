"""Azure OpenAI: OpenAI's events with the content filter's verdicts, by deployment, on two kinds of path."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import parse_qs, unquote

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
    model_in,
)
from . import openai

_DATED_PATH = re.compile(r"/openai/deployments/([^/]+)/chat/completions")
_VERSION = re.compile(r"\d{4}-\d\d-\d\d(-preview)?")
# Older versions of the API do not know these two: https://learn.microsoft.com/azure/ai-services/openai/whats-new
_NEWER_THAN_AUGUST_2024 = ("max_completion_tokens", "stream_options")
_SAFE = {name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")}
_PROMPT_SAFE = dict(sorted({**_SAFE, "jailbreak": {"filtered": False, "detected": False}}.items()))
_CAUGHT = {**_SAFE, "violence": {"filtered": True, "severity": "medium"}}

_WRONG_KEY = (
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an"
    " active subscription and use a correct regional API endpoint for your resource."
)
_NO_DEPLOYMENT = (
    "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes,"
    " please wait a moment and try again."
)
_RATE = (
    "Requests to the ChatCompletions_Create Operation under Azure OpenAI API have exceeded call rate limit of your"
    " current OpenAI S0 pricing tier. Please retry after {retry} seconds."
)
_FILTER = (
    "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify"
    " your prompt and retry. To learn more about our content filtering policies please read our documentation:"
    " https://go.microsoft.com/fwlink/?linkid=2198766"
)


def _error(code: str, message: str) -> Json:
    return {"error": {"code": code, "message": message}}


_FILTERED = {
    "error": {
        "message": _FILTER,
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {**_PROMPT_SAFE, "violence": {"filtered": True, "severity": "medium"}},
        },
    }
}


def _key(headers: Mapping[str, str]) -> str:
    return headers.get("api-key", "") or bearer(headers)


def _model(path: str, query: str, body: Json) -> str | None:
    if path == "/openai/v1/chat/completions":
        return model_in(body)
    dated = _DATED_PATH.fullmatch(path)
    return unquote(dated[1]) if dated and _VERSION.fullmatch(_version(query)) else None


def _version(query: str) -> str:
    return parse_qs(query).get("api-version", [""])[0]


def _check(request: Request) -> Refusal | None:
    version = _version(request.query)
    for name in _NEWER_THAN_AUGUST_2024 if _VERSION.fullmatch(version) and version < "2024-09" else ():
        if name in request.body:
            return Refusal(400, openai.invalid(f"Unrecognized request argument supplied: {name}"))
    return openai.check(request)


def _judged(value: Json, verdicts: Json) -> Json:
    """Add the content filter's verdicts to each choice of an event or a completion."""
    choices = [{**choice, "content_filter_results": verdicts} for choice in value["choices"]]
    return {**value, "choices": choices}


def _event(value: Json, verdicts: Json = _SAFE) -> bytes:
    return event(_judged(value, verdicts), sort_keys=True)


def _opening(content: Content) -> tuple[bytes, ...]:
    prompt = [{"prompt_index": 0, "content_filter_results": _PROMPT_SAFE}]
    first = {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": prompt}
    role = openai.chunk(content, {"role": "assistant", "content": "", "refusal": None})
    return event(first), _event(role, {})


def _reasoning(content: Content, _number: int, text: str) -> bytes:
    return _event(openai.chunk(content, openai.reasoning_delta(text)), {})


def _word(content: Content, _number: int, text: str) -> bytes:
    return _event(openai.chunk(content, {"content": text}))


def _ending(content: Content) -> tuple[bytes, ...]:
    verdicts = _CAUGHT if content.finish == "content_filter" else {}
    finish = _event(openai.chunk(content, {}, content.finish), verdicts)
    counted = (_event(openai.chunk(content, None, usage=openai.usage(content))),) if content.usage == "asked" else ()
    return (finish, *counted, DONE)


def _whole(content: Content) -> bytes:
    verdicts = _CAUGHT if content.finish == "content_filter" else _SAFE
    prompt = [{"prompt_index": 0, "content_filter_results": _PROMPT_SAFE}]
    return encode({**_judged(openai.completion(content), verdicts), "prompt_filter_results": prompt}, sort_keys=True)


_MODEL = {
    "capabilities": {
        "fine_tune": False,
        "inference": True,
        "completion": False,
        "chat_completion": True,
        "embeddings": False,
    },
    "lifecycle_status": "generally-available",
    "deprecation": {"inference": CREATED},
    "id": "gpt-4o-2024-11-20",
    "status": "succeeded",
    "created_at": CREATED,
    "object": "model",
}
_MODELS = {"data": [_MODEL], "object": "list"}

AZURE = SimulatedProvider(
    name="azure",
    base="/azure",
    stream_type="text/event-stream; charset=utf-8",
    headers=MappingProxyType(
        {
            "apim-request-id": "{id}",
            "x-ms-region": "Sweden Central",
            "x-ratelimit-limit-requests": "10000",
            "x-ratelimit-limit-tokens": "2000000",
            "x-ratelimit-remaining-requests": "{left}",
            "x-ratelimit-remaining-tokens": "1999000",
            "x-request-id": "{id}",
        }
    ),
    key=_key,
    model=_model,
    check=_check,
    models_path=re.compile(r"/openai/(v1/models\?.*|models\?api-version=\d{4}-\d\d-\d\d(-preview)?)"),
    models=_MODELS,
    refusals=MappingProxyType(
        {
            "path": Refusal(404, _error("404", "Resource not found")),
            "no key": Refusal(401, _error("401", _WRONG_KEY)),
            "wrong key": Refusal(401, _error("401", _WRONG_KEY)),
            "json": openai.OPENAI.refusals["json"],
            "no model": openai.OPENAI.refusals["no model"],
            "unknown model": Refusal(404, _error("DeploymentNotFound", _NO_DEPLOYMENT)),
            "invalid": Refusal(400, _error("400", "{detail}")),
            "context": openai.OPENAI.refusals["context"],
            "rate": Refusal(429, _error("429", _RATE)),
            "quota": Refusal(429, _error("insufficient_quota", openai.QUOTA)),
            "filter": Refusal(400, _FILTERED),
            "server": Refusal(500, _error("InternalServerError", "The server had an error processing your request.")),
        }
    ),
    refusals_by_status=MappingProxyType({}),
    renderer=Renderer(_opening, _reasoning, _word, _ending, openai.OPENAI.renderer.error, _whole),
    settings=MappingProxyType(
        {
            "AZURE_GPT_35_TURBO_NAME": "gpt-35-turbo",
            "AZURE_GPT_45_TURBO_NAME": "gpt-4-turbo",
            "AZURE_GPT_45_VISION_NAME": "gpt-4-vision",
        }
    ),
)
