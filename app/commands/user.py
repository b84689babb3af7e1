"""The option that names a user."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from ..store.profiles import MAX_USER_CHARACTERS

Command = TypeVar("Command", bound=Callable[..., Any])


def user_option(**more: Any) -> Callable[[Command], Command]:  # noqa: ANN401 - click's own
    """Make the option; `more` is click's."""
    return click.option("--user", callback=_check, help="The user's id, as the login gives it.", **more)


def _check(_context: click.Context, _option: click.Parameter, user: str) -> str:
    if not user.isprintable() or user != user.strip() or not 0 < len(user) <= MAX_USER_CHARACTERS:
        raise click.BadParameter(f"must be 1 to {MAX_USER_CHARACTERS} printable characters.")
    return user
