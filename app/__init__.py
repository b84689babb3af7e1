"""Sluice: streams chat completions from model providers to a browser, from plain WSGI hosting."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .application import create_app, read_settings
else:

    def __getattr__(name: str) -> object:
        """Import the application on first use (PEP 562), which takes a second.

        A command that needs none starts at once, and gunicorn's configuration runs before the application is imported.
        """
        if name in __all__:
            return getattr(import_module(".application", __name__), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["create_app", "read_settings"]
