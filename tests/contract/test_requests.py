"""What reaches a provider: path, headers and body, equal to what is written here."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest

from app.providers import PROVIDERS
from tests.client import chat
from tests.processes import Processes, Service, Simulator

PICTURE = "data:image/png;base64,iVBORw0KGgo="
OUTBOUND = {
    "host", "accept", "accept-encoding", "api-key", "authorization", "content-length", "content-type",
    "openai-organization", "user-agent",
}  # fmt: skip
USAGE = {"include_usage": True, "include_obfuscation": False}


def sent(service: Service, simulator: Simulator, provider: str, model: str, marker: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """Ask, and return what the simulator received; the marker's message is taken out of the body."""
    messages = [{"role": "user", "content": marker, "id": "1", "name": "Ada"}, *more.pop("messages", [])]
    assert chat(service, provider, model, messages=messages, **more).status == 200
    seen = simulator.received(marker)
    assert seen["body"]["messages"].pop(0) == {"role": "user", "content": marker}
    return seen


EXPECTED: dict[str, tuple[str, str, dict[str, str], dict[str, Any]]] = {
    "openai": (
        "gpt-4o",
        "/openai/v1/chat/completions",
        {"authorization": "Bearer sk-openai-canary-1", "openai-organization": "org-ours"},
        {"model": "gpt-4o", "max_tokens": 4096, "stream_options": USAGE},
    ),
    "azure": (
        "gpt-4-vision-preview",
        "/azure/openai/v1/chat/completions",
        {"api-key": "azure-canary-4"},
        {"model": "deployment-vision", "max_tokens": 4096},
    ),
    "groq": (
        "openai/gpt-oss-20b",
        "/groq/openai/v1/chat/completions",
        {"authorization": "Bearer gsk_groq-canary-2"},
        {"model": "openai/gpt-oss-20b", "max_tokens": 65536},
    ),
    "mistral": (
        "mistral-small-latest",
        "/mistral/v1/chat/completions",
        {"authorization": "Bearer mistral-canary-3"},
        {"model": "mistral-small-latest", "max_tokens": 32000},
    ),
}


def plain(provider: str, environment: Mapping[str, str]) -> tuple[str, str, dict[str, str], dict[str, Any]]:
    """Return what is expected of a provider that has nothing of its own but its record."""
    record = PROVIDERS[provider]
    headers = {"authorization": f"Bearer {environment[record.key.variable]}"}
    return "demo", f"/{provider}{urlsplit(record.base_url).path}/chat/completions", headers, {"model": "demo"}


def test_a_request_is_exactly_this(
    service: Service, simulator: Simulator, environment: Mapping[str, str], provider: str, marker: str
) -> None:
    model, path, headers, body = EXPECTED.get(provider) or plain(provider, environment)
    seen = sent(service, simulator, provider, model, marker, temperature=0.25)
    received = dict(seen["headers"])
    length = received.pop("content-length")
    assert seen["path"] == path
    assert received == {
        "host": simulator.url.removeprefix("http://"),
        "accept": "application/json",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "user-agent": "sluice",
        **headers,
    }
    assert int(length) > 0
    assert seen["body"] == {"stream": True, "messages": [], "temperature": 0.25, **body}


def test_nothing_of_the_operator_s_environment_leaks(
    service: Service, simulator: Simulator, provider: str, marker: str
) -> None:
    seen = sent(service, simulator, provider, "demo", marker)
    assert {name for name, _ in seen["headers"]} <= OUTBOUND
    assert "foreign" not in json.dumps(seen)


def test_what_the_client_says_of_length_and_warmth_wins(
    service: Service, simulator: Simulator, provider: str, marker: str
) -> None:
    model = EXPECTED[provider][0] if provider in EXPECTED else "demo"
    body = sent(service, simulator, provider, model, marker, temperature=1, maxTokens=77)["body"]
    assert (body["max_tokens"], body["temperature"]) == (77, 1)


def test_what_frontends_send_besides_is_ignored(
    service: Service, simulator: Simulator, provider: str, marker: str
) -> None:
    more = {"prompt": "Be kind.", "contextLength": 4096, "includeProfileContext": True, "embeddingsProvider": "openai"}
    body = sent(service, simulator, provider, "demo", marker, **more)["body"]
    known = {"model", "messages", "stream", "stream_options"}
    assert set(body) <= known


@pytest.mark.parametrize("model", ["o3", "gpt-5.1"])
@pytest.mark.parametrize("provider", ["openai", "azure"])
def test_a_reasoning_model_takes_its_own_limit_and_no_temperature(
    service: Service, simulator: Simulator, provider: str, marker: str, model: str
) -> None:
    body = sent(service, simulator, provider, model, marker, temperature=0.5, maxTokens=500)["body"]
    assert body["max_completion_tokens"] == 500
    assert not {"max_tokens", "temperature"} & set(body)


def test_pictures_pass_through(service: Service, simulator: Simulator, provider: str, marker: str) -> None:
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": PICTURE, "detail": "low"}},
    ]
    body = sent(service, simulator, provider, "demo", marker, messages=[{"role": "user", "content": content}])["body"]
    assert body["messages"] == [{"role": "user", "content": content}]


def test_messages_of_the_ai_sdk_are_taken(service: Service, simulator: Simulator, provider: str, marker: str) -> None:
    parts = [
        {"type": "step-start"},
        {"type": "text", "text": "What is this?", "state": "done"},
        {"type": "file", "mediaType": "image/png", "url": PICTURE, "filename": "a.png"},
    ]
    messages = [
        {"id": "a", "role": "user", "parts": parts},
        {"id": "b", "role": "assistant", "parts": [{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "A"}]},
    ]
    body = sent(service, simulator, provider, "demo", marker, messages=messages)["body"]
    picture = {"type": "image_url", "image_url": {"url": PICTURE}}
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture]},
        {"role": "assistant", "content": "A"},
    ]


def test_mistral_is_told_of_a_system_where_others_have_a_developer(
    service: Service, simulator: Simulator, marker: str
) -> None:
    messages = [{"role": "developer", "content": "Be kind."}]
    body = sent(service, simulator, "mistral", "demo", marker, messages=messages)["body"]
    assert body["messages"] == [{"role": "system", "content": "Be kind."}]


@pytest.mark.parametrize(
    ("model", "deployment"),
    [
        ("gpt-3.5-turbo", "deployment-35"),
        ("gpt-4-turbo-preview", "deployment-45"),
        ("gpt-4-vision-preview", "deployment-vision"),
        ("free", "freely named"),
    ],
)
def test_azure_models_have_their_deployments(
    dated: Service, service: Service, simulator: Simulator, marker: str, model: str, deployment: str
) -> None:
    assert sent(dated, simulator, "azure", model, marker)["path"].split("/")[4] == deployment.replace(" ", "%20")
    if model != "free":
        seen = sent(service, simulator, "azure", model, marker + "-v1")
        assert (seen["path"], seen["body"]["model"]) == ("/azure/openai/v1/chat/completions", deployment)


@pytest.fixture(scope="module")
def dated(processes: Processes, environment: Mapping[str, str]) -> Service:
    """The service with a dated Azure version and deployments of every name that could harm a path."""
    named = {"free": "freely named", "dots": "..", "path": "../../x?y=1#z", "accent": "é/%2F"}
    changes = {"AZURE_OPENAI_API_VERSION": "2024-10-21", "AZURE_OPENAI_DEPLOYMENTS": json.dumps(named)}
    return processes.service({**environment, **changes})


@pytest.mark.parametrize(
    ("model", "segment"),
    [("dots", "%2E%2E"), ("path", "..%2F..%2Fx%3Fy%3D1%23z"), ("accent", "%C3%A9%2F%252F")],
)
def test_a_deployment_s_name_is_one_segment_whatever_it_contains(
    dated: Service, simulator: Simulator, marker: str, model: str, segment: str
) -> None:
    path = sent(dated, simulator, "azure", model, marker)["path"]
    assert path == f"/azure/openai/deployments/{segment}/chat/completions?api-version=2024-10-21"
