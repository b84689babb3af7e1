"""The WSGI application: `gunicorn wsgi:app`, `flask --app wsgi`."""

import sys

from app import create_app
from app.config import SettingError

try:
    app = create_app()
except SettingError as error:
    sys.stderr.write(f"Sluice cannot start: {error}\n")
    sys.exit(4)  # tells gunicorn to stop instead of starting one worker after another
