"""The application factory, and the parts of one application."""

import logging
import os
from collections.abc import Mapping

import click
from flask import Flask

from . import config, doctor, record
from .cli import Commands
from .config import Settings
from .failure import Failure
from .limits import Limiter
from .login import Identify, Login
from .providers import PROVIDERS
from .routes import errors, register
from .routes.memory import MemoryBudget
from .routes.service import Service
from .store import Store
from .streaming import Streams
from .upstream import Upstream
from .upstream.names import Names
from .wait import find, start_thread

logger = logging.getLogger(__name__)


def create_app(settings: Settings | None = None, identify: Identify | None = None) -> Flask:
    """Make the application, with the settings of the environment unless others are given. Raises `SettingError`.

    `identify` is the login of an application around this one: it takes the request, and returns the id of the user
    who sent it, or None.
    """
    settings = settings or read_settings(os.environ)
    service = _service(settings, identify)
    record.start_log()
    app = errors.Application(__package__, static_folder=None)
    app.url_map.merge_slashes = False  # which would redirect, with a page of HTML
    app.extensions |= {"sluice": service, "streams": service.streams}
    app.cli = Commands()
    register(app, service, PROVIDERS.values())
    _prepare(service)
    return app


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read the settings from an environment. Raises `SettingError`."""
    known = [field for provider in PROVIDERS.values() for field in (provider.key, *provider.settings)]
    return config.read(environ, {field.name: field.variable for field in known})


def _service(settings: Settings, identify: Identify | None) -> Service:
    own = [(provider.key, field) for provider in PROVIDERS.values() for field in provider.own_fields]
    store = Store(settings, {field.name: key.name for key, field in own if field.is_endpoint})
    login = Login(settings, store, identify)
    bodies = MemoryBudget(settings.max_bodies_bytes)
    upstream = Upstream(settings, Names(start_thread, find))
    return Service(
        settings, store, login, Limiter(settings), upstream, Streams(settings), bodies, (record.write_log_line,)
    )


def _prepare(service: Service) -> None:
    """Make the database, or bring it up to date; while that fails, the service is up and its routes answer 503."""
    try:
        service.store.database.prepare()
    except Failure as failure:
        logger.error("The database cannot be used yet: %s", doctor.reason(failure))  # noqa: TRY400 - no traceback for operators
    command = click.get_current_context(silent=True)
    if command is None or command.info_name == "run":  # Any other is no service, and `doctor` tells more.
        for finding in doctor.exposure(service):
            if finding.mark:
                logger.warning("%s", finding.sentence)
    service.store.database.close()
