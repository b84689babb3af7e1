"""The WSGI application: `gunicorn wsgi:app`, `flask --app wsgi`."""

import sys

import click

from app import create_app, hosts, streaming
from app.config import SettingError

try:
    app = application = create_app()
except SettingError as error:
    sys.stderr.write(f"Sluice cannot start: {error}\n")
    sys.exit(4)  # tells gunicorn to stop instead of starting one worker after another

if click.get_current_context(silent=True) is None:
    hosts.on_stop(streaming.drain)
