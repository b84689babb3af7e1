"""Azure OpenAI (https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle).

It knows deployments instead of models. A dated API version has a path for each deployment, the others one for all.
"""

from dataclasses import replace
from typing import Any

from ... import models
from ...chat import Chat
from ...dialects import completions
from ...failure import Code, Failure
from ...upstream.account import Account
from .. import forms
from ..provider import Field, Provider
from . import endpoint


def _field(name: str, form: forms.Form, title: str, example: str = "", **how: Any) -> Field:  # noqa: ANN401
    return Field(f"azure_openai_{name}", f"AZURE_OPENAI_{name.upper()}", form, title, example, **how)


_ENDPOINT = _field(
    "endpoint", forms.ENDPOINT, "Endpoint", "https://NAME.openai.azure.com", with_key=True, meant=endpoint.judged
)
_API_VERSION = _field("api_version", forms.VERSION, "API version", "2024-10-21", with_key=True)
_DEPLOYMENTS = _field(
    "deployments", forms.DEPLOYMENTS, "Deployments of other models (JSON)", '{"gpt-5.1": "my-deployment"}'
)
_DEPLOYMENT_OF = {
    model: Field(f"azure_openai_{name}_id", f"AZURE_GPT_{name.upper()}_NAME", forms.NAME, f"Deployment of {model}")
    for model, name in [
        ("gpt-3.5-turbo", "35_turbo"),
        ("gpt-4-turbo-preview", "45_turbo"),
        ("gpt-4-vision-preview", "45_vision"),
    ]
}


def _deployment(model: str, account: Account) -> str:
    """Return a model's deployment. Raises `Failure` for a model without one."""
    if model in _DEPLOYMENT_OF:
        if deployment := account.value(_DEPLOYMENT_OF[model].name):
            return deployment
        raise _missing()
    if deployment := forms.names_in(account.value(_DEPLOYMENTS.name) or "{}").get(model):
        return deployment
    raise Failure(Code.NOT_FOUND, "Model not found", status=400)


def _place(account: Account, model: str) -> tuple[str, dict[str, str]]:
    """Return the base URL and the query of the resource, or of the model's deployment."""
    deployment = _deployment(model, account) if model else ""
    if not account.base_url:
        raise _missing()
    return endpoint.address(account.base_url, account.value(_API_VERSION.name), deployment)


def _to_deployment(chat: Chat, account: Account) -> Chat:
    return replace(chat, model=_deployment(chat.model, account))


def _missing() -> Failure:
    return Failure(Code.MISSING_KEY, "Azure resources not found")


PROVIDER = Provider(
    name="azure",
    label="Azure OpenAI",
    base_url="",
    dialect=completions,
    families=models.AZURE,
    models=("gpt-4-turbo-preview", "gpt-3.5-turbo", "gpt-4-vision-preview"),
    fields=(_ENDPOINT, _API_VERSION, *_DEPLOYMENT_OF.values(), _DEPLOYMENTS),
    adapt=_to_deployment,
    place=_place,
    prefix="azure_openai",
    key_header="api-key",
)
