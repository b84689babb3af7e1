"""The settings, as the server needs them before there is an application."""

import os
import sys

from .. import config


def _read() -> config.Settings:
    """Read the settings, or end the process with a sentence."""
    try:
        return config.read(os.environ)
    except config.SettingError as error:
        sys.stderr.write(f"Sluice cannot start: {error}\n")
        sys.exit(4)  # as gunicorn ends where the application cannot be loaded


SETTINGS = _read()
