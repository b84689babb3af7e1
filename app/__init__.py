"""Sluice: streams chat completions from model providers to a browser, from plain WSGI hosting."""

import logging
import os

from flask import Flask

from app import chat, commands, config, errors, health, keys, record
from app.answer import Failure
from app.config import Settings
from app.page import page
from app.providers import PROVIDERS
from app.store import Store
from app.streaming import Streams
from app.upstream import Upstream

log = logging.getLogger(__name__)


def create_app(settings: Settings | None = None) -> Flask:
    """Make the application, with the settings of the environment unless others are given. Raises `SettingError`."""
    known = [setting for provider in PROVIDERS.values() for setting in (provider.key, *provider.settings)]
    settings = settings or config.read(os.environ, {setting.name: setting.variable for setting in known})
    store, upstream = Store(settings.database_url), Upstream(settings)
    streams = Streams(settings)
    record.start_log()
    app = Flask(__name__, static_folder=None)
    app.url_map.merge_slashes = False  # which would redirect, with a page of HTML
    app.extensions["streams"] = streams
    errors.register(app)
    for provider in PROVIDERS.values():
        app.register_blueprint(chat.blueprint(provider, settings, store, upstream, streams))
    app.register_blueprint(keys.blueprint(settings, PROVIDERS.values()))
    app.register_blueprint(health.blueprint(store, streams))
    app.register_blueprint(page)
    for command in commands.groups(settings, store, known):
        app.cli.add_command(command)
    _prepare(store)
    return app


def _prepare(store: Store) -> None:
    """Make an SQLite database now; while that fails, the service is up and its routes answer 503."""
    try:
        store.prepare()
    except Failure as failure:
        log.error("The database cannot be used yet: %s", failure.__cause__)  # noqa: TRY400 - no traceback for operators
