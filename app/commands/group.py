"""A group of commands."""

import click
from flask.cli import AppGroup

from app.answer import Failure


class Group(AppGroup):
    """A group whose commands tell a failure as a sentence."""

    def invoke(self, ctx: click.Context) -> object:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except Failure as failure:
            raise click.ClickException(failure.message) from failure
