"""The settings of a user: routes that show, set, remove and check them."""

from collections.abc import Collection, Iterable
from typing import Any

from flask import Blueprint, Response, jsonify, request

from ..failure import Code, Failure
from ..providers import Field, Provider, Sources, account_for
from . import body
from .service import Service

MAX_SETTING_BYTES = 16 * 1024
"""The largest body of a request that sets one."""
MIN_SHOWN_CHARACTERS = 12
"""How long a key must be for its last four characters to tell it apart without giving it away."""


def blueprint(service: Service, providers: Iterable[Provider]) -> Blueprint:
    """Make the routes `/api/profile` and `/api/profile/settings/<name>`."""
    routes = Blueprint("profile", __name__)
    offered = {field.name: (provider, field) for provider in providers for field in provider.own_fields}

    @routes.get("/api/profile")
    def show() -> Response:
        user = service.login.user(request)
        sources = service.sources(user)
        settings = [_state(provider, field, sources) for provider, field in offered.values()]
        return _private(user=user, keyPolicy=sources.policy, settings=settings)

    @routes.put("/api/profile/settings/<name>")
    def put(name: str) -> Response:
        user = _user(service)
        provider, field = _find(name)
        value = body.read_json(request, MAX_SETTING_BYTES, service.settings.body_timeout_seconds).get("value")
        value = field.check(value, service.settings.endpoint_allowlist)
        removed = service.store.profiles.set(user, name, value)
        return _changed(provider, field, service.sources(user), removed)

    @routes.delete("/api/profile/settings/<name>")
    def delete(name: str) -> Response:
        user = _user(service)
        provider, field = _find(name)
        removed = service.store.profiles.unset(user, name) - {name}
        return _changed(provider, field, service.sources(user), removed)

    @routes.post("/api/profile/settings/<name>/check")
    def check(name: str) -> Response:
        user = _user(service)
        provider, _ = _find(name)
        with service.limiter.slot(user):
            account = account_for(provider, *service.sources(user).own_only(provider), user=user)
            service.upstream.check(account, provider.dialect)
        return _private(works=True)

    def _find(name: str) -> tuple[Provider, Field]:
        if name not in offered:
            raise Failure(Code.NOT_FOUND, "There is no such setting.")
        return offered[name]

    return routes


def _user(service: Service) -> str:
    """Return the user of a request that counts against the rate limit."""
    user = service.login.user(request)
    service.limiter.hit(user)
    return user


def _state(provider: Provider, field: Field, sources: Sources) -> dict[str, Any]:
    """Return the source of a field's value, and the user's own value; of a key, only its last characters."""
    name = field.name
    own = _own_value(sources, name)
    return {
        "name": name,
        "provider": provider.name,
        "label": provider.label,
        "isKey": field.is_secret,
        "source": next(iter(sources.ranked(provider, field)), None),
        "isInProfile": name in sources.own,
        "isLocked": name in sources.own and own is None,
        "lastFour": own[-4:] if own and field.is_secret and len(own) >= MIN_SHOWN_CHARACTERS else None,
        "value": None if field.is_secret else own,
    }


def _changed(provider: Provider, field: Field, sources: Sources, removed: Collection[str]) -> Response:
    """Return a field's new state, and whether its key was removed with the old value."""
    return _private(**_state(provider, field, sources), **({"keyRemoved": True} if removed else {}))


def _own_value(sources: Sources, name: str) -> str | None:
    """Return the user's own value; None if the vault cannot decrypt it, so that the user can still replace it."""
    try:
        return sources.own.get(name)
    except Failure as failure:
        if failure.code is not Code.VAULT_LOCKED:
            raise
        return None


def _private(**found: Any) -> Response:  # noqa: ANN401 - JSON is anything
    response = jsonify(found)
    response.headers["Cache-Control"] = "no-store"
    return response
