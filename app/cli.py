"""The command line: `sluice`, where it is installed, and what `flask --app wsgi` finds."""

from importlib import import_module

import click
from flask.cli import AppGroup


class Commands(AppGroup):
    """A group with the commands of `commands.py`, which is imported when one of them is used: servers need none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted([*super().list_commands(ctx), *_load().list_commands(ctx)])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command."""
        return super().get_command(ctx, cmd_name) or _load().get_command(ctx, cmd_name)


def _load() -> AppGroup:
    commands: AppGroup = import_module(".commands", __package__).commands
    return commands
