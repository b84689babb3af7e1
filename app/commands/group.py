"""A group of commands."""

import click
from flask.cli import AppGroup

from ..failure import Failure
from ..store.files import Inaccessible


class Group(AppGroup):
    """A group whose commands tell a failure as a sentence."""

    def invoke(self, ctx: click.Context) -> object:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except Failure as failure:
            cause = failure.__cause__
            sentence = (
                f"The database is closed to you: {cause}." if isinstance(cause, Inaccessible) else failure.message
            )
            raise click.ClickException(sentence) from failure
