"""Azure OpenAI (https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle)."""

import json
from urllib.parse import quote

from app import catalogue
from app.answer import Answer, Failure
from app.question import Chat, Profile, Provider, Setting
from app.upstream import Upstream

LABEL = "Azure OpenAI"
KEY = Setting("azure_openai_api_key", "AZURE_OPENAI_API_KEY")
ENDPOINT = Setting("azure_openai_endpoint", "AZURE_OPENAI_ENDPOINT")
API_VERSION = Setting("azure_openai_api_version", "AZURE_OPENAI_API_VERSION")
DEPLOYMENTS = Setting("azure_openai_deployments", "AZURE_OPENAI_DEPLOYMENTS")
DEPLOYMENT_OF = {
    "gpt-3.5-turbo": Setting("azure_openai_35_turbo_id", "AZURE_GPT_35_TURBO_NAME"),
    "gpt-4-turbo-preview": Setting("azure_openai_45_turbo_id", "AZURE_GPT_45_TURBO_NAME"),
    "gpt-4-vision-preview": Setting("azure_openai_45_vision_id", "AZURE_GPT_45_VISION_NAME"),
}


def ask(chat: Chat, profile: Profile, upstream: Upstream) -> Answer:
    """Ask the deployment of the model, at the endpoint, and in its version, from the key's own source."""
    own = profile.source(KEY.name)
    deployment = _deployment(chat.model, profile)
    endpoint = own.get(ENDPOINT.name, "").rstrip("/")
    if not deployment or not endpoint:
        raise Failure(400, "missing_key", "Azure resources not found")
    version = own.get(API_VERSION.name, "")
    dated = version[:1].isdigit()
    return upstream.complete(
        label=LABEL,
        base_url=f"{endpoint}/openai/deployments/{_segment(deployment)}" if dated else f"{endpoint}/openai/v1",
        key=own[KEY.name],
        headers={"api-key": own[KEY.name]},
        query={"api-version": version} if dated else {},
        parameters={**catalogue.parameters(chat, catalogue.AZURE), "model": deployment},
    )


def _deployment(model: str, profile: Profile) -> str | None:
    """Look up a model's deployment. Raises `Failure` for a model that nobody named."""
    if model in DEPLOYMENT_OF:
        return profile.get(DEPLOYMENT_OF[model].name)
    try:
        named = json.loads(profile.get(DEPLOYMENTS.name) or "{}")
    except ValueError:
        named = {}
    deployment = named.get(model) if isinstance(named, dict) else None
    if not isinstance(deployment, str):
        raise Failure(400, "not_found", "Model not found")
    return deployment


def _segment(name: str) -> str:
    """Quote a name as one segment of a path; `..` would be one too many, so dots alone are quoted as well."""
    return quote(name, safe="") if name.strip(".") else name.replace(".", "%2E")


PROVIDER = Provider("azure", LABEL, KEY, ask, (ENDPOINT, API_VERSION, DEPLOYMENTS, *DEPLOYMENT_OF.values()))
