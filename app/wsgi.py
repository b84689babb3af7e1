"""The WSGI application, with the settings of the environment."""

import logging
import sys

import click

from . import log, streaming
from .application import create_app
from .config import SettingError
from .streaming import hosts

try:
    app = application = create_app()
except SettingError as error:
    sys.stderr.write(f"Sluice cannot start: {error}\n")
    sys.exit(4)  # tells gunicorn to stop instead of starting one worker after another


def _stop() -> None:
    """End the chats, and write their lines: the process may be killed then."""
    streaming.drain()
    log.flush(log.EXIT_SECONDS)


if click.get_current_context(silent=True) is None:
    app.extensions["sluice"].upstream.load()
    hosts.on_stop(_stop)
    waitress = logging.getLogger("waitress")  # which would wait for whoever reads its log
    waitress.addHandler(logging.StreamHandler(log.LogStream("stderr")))
    waitress.propagate = False
