"""Azure OpenAI (https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle).

It knows deployments instead of models. A dated API version has a path for each deployment, the others one for all.
"""

import json
import re
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from .. import models
from ..chat import Chat
from ..dialects import completions
from ..failure import Code, Failure
from ..upstream.account import Account
from . import forms
from .provider import Field, Provider

_PATH = re.compile(
    r"(?: /api/projects/[^/]+ )?"
    r"(?: /openai (?: / (?: v1 | deployments | responses | models ) (?: /.* )? )?"
    r"  | /v1 (?: / (?: (?: chat/ )? completions | responses | models ) )? )? /* \Z",
    re.VERBOSE | re.IGNORECASE,
)
"""The path behind a resource's address, of a project or an operation, as portal and sample code show it."""
_VERSION = re.compile(r"(?:^|&)api-version=([A-Za-z0-9.-]{1,40})(?:&|\Z)", re.IGNORECASE)
_MORE = re.compile(r"#|\?(?!api-version=[A-Za-z0-9.-]{1,40}\Z).", re.IGNORECASE)


def _read(endpoint: str) -> tuple[str, str]:
    """Return the address of the resource itself, below which all paths are known, and the version if it has one."""
    address, _, query = endpoint.partition("#")[0].partition("?")
    found, version = _PATH.search(address), _VERSION.search(query)
    return address[: found.start() if found else None].rstrip("/"), version[1] if version else ""


def _judged(endpoint: str) -> str:
    """Return what decides whether a user may set an endpoint: all of it if its query has more than a version.

    More would be of no use and may be secret, so it is refused.
    """
    return endpoint if _MORE.search(endpoint) else _read(endpoint)[0]


def _field(name: str, form: forms.Form, title: str, example: str = "", **how: Any) -> Field:  # noqa: ANN401
    return Field(f"azure_openai_{name}", f"AZURE_OPENAI_{name.upper()}", form, title, example, **how)


_ENDPOINT = _field(
    "endpoint", forms.ENDPOINT, "Endpoint", "https://NAME.openai.azure.com", with_key=True, meant=_judged
)
_API_VERSION = _field("api_version", forms.VERSION, "API version", "2024-10-21", with_key=True)
_DEPLOYMENTS = _field(
    "deployments", forms.DEPLOYMENTS, "Deployments of other models (JSON)", '{"gpt-5.1": "my-deployment"}'
)
DEPLOYMENT_OF = {
    model: Field(f"azure_openai_{name}_id", f"AZURE_GPT_{name.upper()}_NAME", forms.NAME, f"Deployment of {model}")
    for model, name in [
        ("gpt-3.5-turbo", "35_turbo"),
        ("gpt-4-turbo-preview", "45_turbo"),
        ("gpt-4-vision-preview", "45_vision"),
    ]
}


def _deployment(model: str, account: Account) -> str:
    """Return a model's deployment. Raises `Failure` for a model without one."""
    if model in DEPLOYMENT_OF:
        if deployment := account.value(DEPLOYMENT_OF[model].name):
            return deployment
        raise _missing()
    try:
        named = json.loads(account.value(_DEPLOYMENTS.name) or "{}")
    except ValueError:
        named = {}
    deployment = named.get(model) if isinstance(named, dict) else None
    if not isinstance(deployment, str):
        raise Failure(Code.NOT_FOUND, "Model not found", status=400)
    return deployment


def _place(account: Account, model: str) -> Account:
    """Return the account at its resource; a dated version is asked below the model's deployment."""
    deployment = _deployment(model, account) if model else ""
    if not account.base_url:
        raise _missing()
    root, pasted_version = _read(account.base_url)
    version = account.value(_API_VERSION.name) or pasted_version
    if not version[:1].isdigit():
        return replace(account, base_url=f"{root}/openai/v1")
    path = f"/deployments/{_segment(deployment)}" if deployment else ""
    return replace(account, base_url=f"{root}/openai{path}", query={"api-version": version})


def _segment(name: str) -> str:
    """Quote a name as one segment of a path; `..` would be one too many, so dots alone are quoted as well."""
    return quote(name, safe="") if name.strip(".") else name.replace(".", "%2E")


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
    fields=(_ENDPOINT, _API_VERSION, *DEPLOYMENT_OF.values(), _DEPLOYMENTS),
    adapt=_to_deployment,
    place=_place,
    prefix="azure_openai",
    key_header="api-key",
)
