"""The commands of `flask --app wsgi`."""

import sys
from collections.abc import Iterable

import click
from flask.cli import AppGroup

from app.answer import Failure
from app.auth import LOCAL_USER
from app.config import Settings
from app.question import Setting
from app.store import Store


def groups(settings: Settings, store: Store, known: Iterable[Setting]) -> list[click.Command]:
    """Make the commands, for the provider settings that are known."""
    own = {setting.name: setting for setting in known if not setting.operator_only}
    return [_profile(settings, store, own), _migrate(store)]


class _Group(AppGroup):
    """A group whose commands tell a failure as a sentence."""

    def invoke(self, ctx: click.Context) -> object:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except Failure as failure:
            raise click.ClickException(failure.message) from failure


def _profile(settings: Settings, store: Store, own: dict[str, Setting]) -> click.Command:
    group = _Group("profile", help=f"The profile of the user {LOCAL_USER!r}.")
    name_argument = click.argument("name", type=click.Choice(sorted(own)), metavar="NAME")

    @group.command("set")
    @name_argument
    def set_(name: str) -> None:
        """Set a setting; its value is asked for, or read from standard input, and never shown."""
        value = click.prompt(name, hide_input=True) if sys.stdin.isatty() else sys.stdin.read()
        value = value.strip()
        if not value or not value.isprintable():
            raise click.ClickException("The value is empty or has characters that no setting has. Nothing was set.")
        store.set(LOCAL_USER, name, value)
        click.echo(f"{name} is set.")
        if name in settings.provider_environment:
            click.echo(f"{own[name].variable} is set in the environment too, and wins.")

    @group.command("unset")
    @name_argument
    def unset(name: str) -> None:
        """Remove a setting."""
        click.echo(f"{name} {'is removed' if store.unset(LOCAL_USER, name) else 'was not set'}.")

    @group.command("show")
    def show() -> None:
        """Show which settings are set, and where; never their values."""
        found = store.settings(LOCAL_USER)
        for name, setting in own.items():
            places = [setting.variable] * (name in settings.provider_environment) + ["profile"] * (name in found)
            click.echo(f"{name:28} {' wins over '.join(places) or '-'}")

    return group


def _migrate(store: Store) -> click.Command:
    @click.command("migrate")
    def migrate() -> None:
        """Bring the database's tables up to date, before a new release starts."""
        try:
            store.migrate()
        except Failure as failure:
            raise click.ClickException(f"The database cannot be migrated: {failure.__cause__}") from failure
        click.echo("The database is up to date.")

    return migrate
