"""LiteLLM's proxy, in a virtual environment of its own."""

import json
import secrets
import sys
from subprocess import PIPE, STDOUT, run
from types import MappingProxyType

from bench.answers import MODEL, Spec
from bench.servers import CACHE, Kind, Missing, Place

VERSION = "1.106.2"
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
    ready = _VENV / "ready"
    if not ready.exists() or ready.read_text() != VERSION:
        print("Installing LiteLLM ...", flush=True)
        _run(sys.executable, "-m", "venv", "--clear", str(_VENV))
        _run(f"{_VENV}/bin/pip", "install", "--quiet", "--disable-pip-version-check", f"litellm[proxy]=={VERSION}")
        ready.write_text(VERSION)
    return _run(f"{_VENV}/bin/python", "-c", "from importlib.metadata import version; print(version('litellm'))")


def _run(*command: str) -> str:
    done = run(command, stdout=PIPE, stderr=STDOUT, text=True, check=False)
    words = done.stdout.strip().splitlines() or [""]
    if done.returncode:
        raise Missing(f"cannot be installed: {words[-1]}")
    return words[-1]


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


def _text(body: bytes, _spec: Spec) -> str | None:
    """Join the deltas of an event stream that ends as it must."""
    events = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: ")]
    if not events or events.pop() != b"[DONE]":
        return None
    choices = [choice for event in events for choice in json.loads(event).get("choices", ())]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


KIND = Kind(
    name="litellm",
    about="its proxy, one worker, no database, no telemetry, its limit of connections to a provider raised",
    install=_install,
    command=_command,
    environment=_environment,
    text=_text,
    headers=MappingProxyType({"Authorization": f"Bearer {_KEY}"}),
    health="/health/liveliness",
    slow=True,
)
