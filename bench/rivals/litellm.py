"""LiteLLM's proxy, in a virtual environment of its own."""

import secrets
from types import MappingProxyType

from bench import readers, venvs
from bench.answers import MODEL
from bench.servers import CACHE, Kind, Place

_KEY = f"sk-{secrets.token_hex(32)}"
"""Without one it does not start; nobody else is to use this proxy."""
_VENV = CACHE / "litellm"
_CONFIGURATION = """
model_list:
  - model_name: {model}
    litellm_params:
      model: openai/{model}
      api_base: http://127.0.0.1:{upstream}/v1
      api_key: sk-bench
litellm_settings:
  telemetry: false
"""


def _install() -> str:
    return venvs.rival("litellm", "litellm")


def _command(place: Place) -> list[str]:
    configuration = place.folder / "litellm.yaml"
    configuration.write_text(_CONFIGURATION.format(model=MODEL, upstream=place.upstream))
    options = ["--config", str(configuration), "--host", "127.0.0.1", "--port", str(place.port), "--num_workers", "1"]
    return [f"{_VENV}/bin/litellm", *options, "--telemetry", "False"]


def _environment(_place: Place) -> dict[str, str]:
    return {
        "PATH": f"{_VENV}/bin:/usr/bin:/bin",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "LITELLM_MASTER_KEY": _KEY,
        "AIOHTTP_CONNECTOR_LIMIT": "4000",
        "AIOHTTP_CONNECTOR_LIMIT_PER_HOST": "4000",
    }


KIND = Kind(
    name="litellm",
    about="its proxy, one worker, no database, no telemetry, its limit of connections to a provider raised",
    install=_install,
    command=_command,
    environment=_environment,
    read=readers.completions,
    headers=MappingProxyType({"Authorization": f"Bearer {_KEY}"}),
    health="/health/liveliness",
    slow=True,
)
