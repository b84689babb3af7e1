"""Which settings of providers the environment has, in the shape that chatbot-ui expects."""

from collections.abc import Iterable

from flask import Blueprint, Response, jsonify, request

from ..providers import Provider
from .service import Service


def blueprint(service: Service, providers: Iterable[Provider]) -> Blueprint:
    """Make the route `/api/keys`: `{"isUsingEnvKeyMap": {NAME: true or false, ...}}`.

    NAME is the name of a provider for its key, and the variable in small letters for any other setting.
    """
    routes = Blueprint("keys", __name__)
    names = {provider.name: provider.key.name for provider in providers}
    names |= {field.variable.lower(): field.name for provider in providers for field in provider.settings}
    using = {shown: name in service.settings.provider_environment for shown, name in names.items()}

    @routes.get("/api/keys")
    def keys() -> Response:
        service.login.user(request)
        return jsonify(isUsingEnvKeyMap=using)

    return routes
