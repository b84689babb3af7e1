"""The command line: `sluice`, where it is installed, and the commands that `flask --app wsgi` finds."""

import os
import sys
from importlib import import_module
from pathlib import Path

import click
from flask import Flask
from flask.cli import AppGroup, ScriptInfo


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


@click.group(cls=Commands)
@click.version_option(package_name="sluice")
def sluice() -> None:
    """Stream chat completions from model providers to a browser. The settings are environment variables."""


_other_options = click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS]")
_passing_on = {"ignore_unknown_options": True, "help_option_names": []}


@sluice.command("serve", with_appcontext=False, context_settings=_passing_on)
@_other_options
def serve(options: tuple[str, ...]) -> None:
    """Serve with gunicorn, at PORT (8000) in WEB_CONCURRENCY processes (1).

    The options are those of gunicorn. It gets a process in which nothing is imported yet: gevent has to patch first.
    """
    gunicorn = Path(sys.argv[0]).resolve().with_name("gunicorn")  # pipx and uv put a link to the command elsewhere
    _become(str(gunicorn), f"--config=python:{__package__}.gunicorn", f"{__package__}.wsgi:app", *options)


@sluice.command("simulate", with_appcontext=False, context_settings=_passing_on)
@_other_options
def simulate(options: tuple[str, ...]) -> None:
    """Serve simulated providers, with the options of `python -m sluice.simulator`."""
    _become("-m", f"{__package__}.simulator", *options)


def _become(*arguments: str) -> None:
    """Replace this process by another of the same Python."""
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - no shell is wanted


def main() -> None:
    """Run the command that was typed."""
    sluice(obj=ScriptInfo(create_app=_application), prog_name="sluice")


def _application() -> Flask:
    application: Flask = import_module(".wsgi", __package__).app
    return application
