"""Which providers there are, and which of them can be asked by whom."""

from pathlib import Path
from typing import Any

from app import create_app, read_settings
from app.protocols import PROTOCOLS
from app.providers import PROVIDERS
from tests.client import ask
from tests.login.users import User, somebody
from tests.processes import Service, Simulator


def shown(service: Service, **headers: str) -> dict[str, Any]:
    reply = ask(service, "/api/providers", None, method="GET", **headers)
    assert (reply.status, reply.headers["Cache-Control"]) == (200, "no-store")
    return reply.json()


def usable(user: User) -> list[str]:
    found = user.ask("/api/providers").json()
    return [one["name"] for one in found["providers"] if one["usable"]]


def test_every_provider_is_shown_as_it_is_registered(service: Service) -> None:
    found = shown(service)
    assert [one["name"] for one in found["providers"]] == list(PROVIDERS)
    for one, provider in zip(found["providers"], PROVIDERS.values(), strict=True):
        assert (one["label"], one["models"], one["usable"]) == (provider.label, list(provider.models), True)
        assert [field["name"] for field in one["fields"]] == [field.name for field in provider.own_fields]
        assert all(field["title"] for field in one["fields"])
    assert [one["accept"] for one in found["protocols"]] == list(PROTOCOLS)


def test_a_provider_is_usable_with_a_key_of_its_user(bare: Service) -> None:
    user = somebody(bare)
    assert usable(user) == []
    user.has(groq_api_key="gsk-0123456789abcdef")
    assert usable(user) == ["groq"]
    assert usable(somebody(bare)) == []


def test_a_key_without_its_endpoint_is_not_usable(bare: Service, simulator: Simulator) -> None:
    user = somebody(bare).has(azure_openai_endpoint=f"{simulator.url}/azure", azure_openai_api_key="k-0123456789abcdef")
    assert usable(user) == ["azure"]
    user.delete("azure_openai_endpoint")
    assert usable(user) == []


def test_a_model_without_a_deployment_is_not_suggested(tmp_path: Path, simulator: Simulator) -> None:
    settings = {**simulator.settings["azure"], "AZURE_GPT_45_TURBO_NAME": "", "AZURE_GPT_45_VISION_NAME": ""}
    client = create_app(read_settings({**settings, "DATABASE_URL": f"sqlite:///{tmp_path}/sluice.db"})).test_client()
    models = {one["name"]: one["models"] for one in client.get("/api/providers").get_json()["providers"]}
    assert models["azure"] == ["gpt-3.5-turbo"]
    assert models["mistral"] == list(PROVIDERS["mistral"].models)


def test_nobody_sees_the_providers_and_can_use_none(bare: Service) -> None:
    found = shown(bare)
    assert [one["name"] for one in found["providers"]] == list(PROVIDERS)
    assert not any(one["usable"] for one in found["providers"])
