"""The settings that the server reads itself, before there is an application."""

import os
import sys


def number(variable: str, default: int) -> float:
    """Read a number above zero, or end the process with a sentence."""
    value = os.environ.get(variable) or str(default)
    try:
        found = float(value)
    except ValueError:
        found = 0
    if not 0 < found < float("inf"):
        sys.exit(f"Sluice cannot start: {variable} must be a number above 0, not {value!r}.")
    return found
