"""Chat completions as most providers speak them: in the form of those who made them, under a name of its own."""

import re
from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType

from ..provider import CREATED, Json, SimulatedProvider, model_in
from .openai import OPENAI


def plain(name: str, path: str, models: Iterable[str]) -> SimulatedProvider:
    """Return the provider with this path in its base URL, and with these models."""

    def model(requested: str, _query: str, body: Json) -> str | None:
        return model_in(body) if requested == f"{path}/chat/completions" else None

    listed = [{"id": one, "object": "model", "created": CREATED, "owned_by": name} for one in models]
    return replace(
        OPENAI,
        name=name,
        base=f"/{name}{path}",
        headers=MappingProxyType({"x-request-id": "{id}"}),
        model=model,
        models_path=re.compile(rf"{re.escape(path)}/models\?.*"),
        models={"object": "list", "data": listed},
    )
