"""Every route and error handler. All Flask is here, in the application factory, and in the login."""

from collections.abc import Collection

from flask import Flask

from ..providers import Provider
from . import chat, cors, errors, health, keys, profile
from . import providers as providers_route
from .page import page
from .service import Service


def register(app: Flask, service: Service, providers: Collection[Provider]) -> None:
    """Add all routes and error handlers to an application."""
    errors.register(app)
    cors.register(app, service.settings.cors_origins)
    for provider in providers:
        app.register_blueprint(chat.blueprint(provider, service))
    app.register_blueprint(profile.blueprint(service, providers))
    app.register_blueprint(keys.blueprint(service, providers))
    app.register_blueprint(providers_route.blueprint(service, providers))
    app.register_blueprint(health.blueprint(service))
    app.register_blueprint(page)
