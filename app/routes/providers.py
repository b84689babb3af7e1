"""The list of providers: their fields and suggested models, and which of them the user can use."""

from collections.abc import Collection
from typing import Any

from flask import Blueprint, Response, jsonify, request

from ..failure import Code, Failure
from ..protocols import PROTOCOLS
from ..providers import Field, Provider, Sources, account_for
from .service import Service


def blueprint(service: Service, providers: Collection[Provider]) -> Blueprint:
    """Make the route `/api/providers`."""
    routes = Blueprint("providers", __name__)

    @routes.get("/api/providers")
    def show() -> Response:
        sources = _sources(service)
        response = jsonify(
            providers=[_shown(provider, sources) for provider in providers],
            protocols=[{"name": protocol.MODE, "accept": accept} for accept, protocol in PROTOCOLS.items()],
        )
        response.headers["Cache-Control"] = "no-store"
        return response

    return routes


def _sources(service: Service) -> Sources | None:
    """Return the sources of the user's values; None without a login, so that no provider is usable."""
    try:
        return service.sources(service.login.user(request))
    except Failure as failure:
        if failure.code is not Code.UNAUTH:
            raise
        return None


def _shown(provider: Provider, sources: Sources | None) -> dict[str, Any]:
    return {
        "name": provider.name,
        "label": provider.label,
        "models": [model for model in provider.models if _can_be_asked(provider, sources, model)] or provider.models,
        "fields": [_field(field) for field in provider.own_fields],
        "usable": _can_be_asked(provider, sources),
    }


def _field(field: Field) -> dict[str, Any]:
    return {"name": field.name, "title": field.title, "example": field.example, "isKey": field.is_secret}


def _can_be_asked(provider: Provider, sources: Sources | None, model: str = "") -> bool:
    """Tell whether a key is set, and an endpoint or a deployment where one is required; only a check tells more."""
    if sources is None:
        return False
    try:
        account_for(provider, *sources, model=model)
    except Failure as failure:
        if failure.code not in {Code.MISSING_KEY, Code.VAULT_LOCKED, Code.NOT_FOUND}:
            raise
        return False
    return True
