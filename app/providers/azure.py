"""Azure OpenAI (https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle)."""

import json
import re
from urllib.parse import quote

from .. import catalogue, values
from ..answer import Answer
from ..failure import Code, Failure
from ..question import Chat, Profile, Provider, Setting
from ..upstream import Upstream
from ..upstream.account import Account

_PATH = re.compile(
    r"""
    (?: /api/projects/[^/]+ )?
    (?: /openai (?: / (?: v1 | deployments | responses | models ) (?: /.* )? )?
      | /v1 (?: / (?: (?: chat/ )? completions | responses | models ) )?
    )? /* \Z
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""What an endpoint ends in where it is pasted as portal and sample code show it: the path of a project or operation."""
_VERSION = re.compile(r"(?:^|&)api-version=([A-Za-z0-9.-]{1,40})(?:&|\Z)", re.IGNORECASE)
_MORE = re.compile(r"#|\?(?!api-version=[A-Za-z0-9.-]{1,40}\Z).", re.IGNORECASE)


def _read(endpoint: str) -> tuple[str, str]:
    """Return the address of the resource itself, below which all paths are known, and the version if it has one."""
    address, _, query = endpoint.partition("#")[0].partition("?")
    found, version = _PATH.search(address), _VERSION.search(query)
    return address[: found.start() if found else None].rstrip("/"), version[1] if version else ""


def _judged(endpoint: str) -> str:
    """Return what decides whether a user may set an endpoint: all of it if it has more than a version in its query.

    That would be of no use, may be secret, and is refused.
    """
    return endpoint if _MORE.search(endpoint) else _read(endpoint)[0]


LABEL = "Azure OpenAI"
KEY = Setting("azure_openai_api_key", "AZURE_OPENAI_API_KEY", values.KEY)
ENDPOINT = Setting("azure_openai_endpoint", "AZURE_OPENAI_ENDPOINT", values.ENDPOINT, with_key=True, meant=_judged)
API_VERSION = Setting("azure_openai_api_version", "AZURE_OPENAI_API_VERSION", values.VERSION, with_key=True)
DEPLOYMENTS = Setting("azure_openai_deployments", "AZURE_OPENAI_DEPLOYMENTS", values.DEPLOYMENTS)
DEPLOYMENT_OF = {
    "gpt-3.5-turbo": Setting("azure_openai_35_turbo_id", "AZURE_GPT_35_TURBO_NAME", values.NAME),
    "gpt-4-turbo-preview": Setting("azure_openai_45_turbo_id", "AZURE_GPT_45_TURBO_NAME", values.NAME),
    "gpt-4-vision-preview": Setting("azure_openai_45_vision_id", "AZURE_GPT_45_VISION_NAME", values.NAME),
}


def ask(chat: Chat, profile: Profile, upstream: Upstream) -> Answer:
    """Ask the deployment of the model."""
    deployment = _deployment(chat.model, profile)
    if not deployment:
        raise Failure(Code.MISSING_KEY, "Azure resources not found")
    account = _account(profile, f"/deployments/{_segment(deployment)}")
    return upstream.complete(account, {**catalogue.parameters(chat, catalogue.AZURE), "model": deployment})


def check(profile: Profile, upstream: Upstream) -> None:
    """Check the key, and the endpoint, with or without a deployment."""
    upstream.check(_account(profile, ""))


def _account(profile: Profile, path: str) -> Account:
    """Return the account at the endpoint, and in its version, from the key's own source.

    `path` is where to ask of a dated version; the other has one path for everything. Raises `Failure` without an
    endpoint.
    """
    own = profile.source(KEY.name)
    endpoint = own.get(ENDPOINT.name, "")
    if not endpoint:
        raise Failure(Code.MISSING_KEY, "Azure resources not found")
    root, pasted_version = _read(endpoint)
    version = own.get(API_VERSION.name, pasted_version)
    dated = version[:1].isdigit()
    return Account(
        label=LABEL,
        base_url=f"{root}/openai{path}" if dated else f"{root}/openai/v1",
        key=own[KEY.name],
        headers={"api-key": own[KEY.name]},
        query={"api-version": version} if dated else {},
        chosen_by_user=profile.is_own(KEY.name),
        has_operators_key=not profile.is_own(KEY.name),
        user=profile.user,
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
        raise Failure(Code.NOT_FOUND, "Model not found", status=400)
    return deployment


def _segment(name: str) -> str:
    """Quote a name as one segment of a path; `..` would be one too many, so dots alone are quoted as well."""
    return quote(name, safe="") if name.strip(".") else name.replace(".", "%2E")


PROVIDER = Provider("azure", LABEL, KEY, ask, check, (ENDPOINT, API_VERSION, *DEPLOYMENT_OF.values(), DEPLOYMENTS))
