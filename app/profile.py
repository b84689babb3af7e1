"""A user's own settings: what is set and from where, and the routes that set, remove and try them."""

from collections.abc import Collection, Iterable
from typing import Any

from flask import Blueprint, Response, jsonify, request

from . import body
from .failure import Code, Failure
from .question import Profile, Provider, Setting, check_value, require_key
from .service import Service

MAX_SETTING_BYTES = 16 * 1024
"""The largest body that sets one."""
MIN_SHOWN_CHARACTERS = 12
"""How long a key must be for its last four characters to tell it apart without giving it away."""


def blueprint(service: Service, providers: Iterable[Provider]) -> Blueprint:
    """Make the routes `/api/profile` and `/api/profile/settings/<name>`."""
    routes = Blueprint("profile", __name__)
    offered = {setting.name: (provider, setting) for provider in providers for setting in provider.own_settings}

    @routes.get("/api/profile")
    def show() -> Response:
        user = service.login.user(request)
        profile = _profile(service, user)
        settings = [_state(provider, setting, profile) for provider, setting in offered.values()]
        return _private(user=user, keyPolicy=profile.policy, settings=settings)

    @routes.put("/api/profile/settings/<name>")
    def put(name: str) -> Response:
        user = _user(service)
        provider, setting = _find(name)
        value = body.read_json(request, MAX_SETTING_BYTES, service.settings.body_timeout_seconds).get("value")
        value = check_value(setting, value, service.settings.endpoint_allowlist)
        removed = service.store.profiles.set(user, name, value)
        return _changed(provider, setting, _profile(service, user), removed)

    @routes.delete("/api/profile/settings/<name>")
    def delete(name: str) -> Response:
        user = _user(service)
        provider, setting = _find(name)
        removed = service.store.profiles.unset(user, name) - {name}
        return _changed(provider, setting, _profile(service, user), removed)

    @routes.post("/api/profile/settings/<name>/check")
    def check(name: str) -> Response:
        user = _user(service)
        provider, _ = _find(name)
        with service.limiter.slot(user):
            profile = _own_profile(service, user, provider)
            require_key(provider, profile)
            provider.check(profile, service.upstream)
        return _private(works=True)

    def _find(name: str) -> tuple[Provider, Setting]:
        if name not in offered:
            raise Failure(Code.NOT_FOUND, "There is no such setting.")
        return offered[name]

    return routes


def _user(service: Service) -> str:
    """Return who asks for something that costs more than a look."""
    user = service.login.user(request)
    service.limiter.hit(user)
    return user


def _profile(service: Service, user: str) -> Profile:
    settings = service.settings
    return Profile(user, service.store.profiles.settings(user), settings.provider_environment, settings.key_policy)


def _own_profile(service: Service, user: str, provider: Provider) -> Profile:
    """Return the profile as it is without the operator's settings, but for those that users cannot have."""
    names = {setting.name for setting in provider.settings if setting.operator_only}
    environment = {name: value for name, value in service.settings.provider_environment.items() if name in names}
    return Profile(user, service.store.profiles.settings(user), environment, "profile-first")


def _state(provider: Provider, setting: Setting, profile: Profile) -> dict[str, Any]:
    """Tell of a setting where it comes from; of the user's own value, what is no secret, of a key its end."""
    name = setting.name
    source = profile.source(provider.key.name if setting.with_key else name)
    own = _own(profile, name)
    return {
        "name": name,
        "provider": provider.name,
        "label": provider.label,
        "isKey": setting.is_secret,
        "source": ("profile" if source is profile.own else "environment") if name in source else None,
        "isInProfile": name in profile.own,
        "isLocked": name in profile.own and own is None,
        "lastFour": own[-4:] if own and setting.is_secret and len(own) >= MIN_SHOWN_CHARACTERS else None,
        "value": None if setting.is_secret else own,
    }


def _changed(provider: Provider, setting: Setting, profile: Profile, removed: Collection[str]) -> Response:
    """Tell a setting's new state, and whether the key is gone with the old one."""
    return _private(**_state(provider, setting, profile), **({"keyRemoved": True} if removed else {}))


def _own(profile: Profile, name: str) -> str | None:
    """Return the user's own value; one that the vault cannot decrypt must not keep the user from replacing it."""
    try:
        return profile.own.get(name)
    except Failure as failure:
        if failure.code is not Code.VAULT_LOCKED:
            raise
        return None


def _private(**found: Any) -> Response:  # noqa: ANN401 - JSON is anything
    response = jsonify(found)
    response.headers["Cache-Control"] = "no-store"
    return response
