"""Profiles, as the operator sets them up."""

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping

import click

from ..failure import Failure
from ..login.local import LOCAL_USER
from ..providers import Field, Provider
from ..routes.service import Service
from ..store import chatbot_ui
from .group import Group
from .user import user_option

_user = user_option(default=LOCAL_USER, show_default=True)


def group(service: Service, providers: Iterable[Provider]) -> click.Command:
    """Make the commands for profiles, of the settings that the providers have."""
    own = {setting.name: setting for provider in providers for setting in provider.own_fields}
    commands = Group("profile", help="The settings of a user: of this machine's own, unless another is named.")
    name_argument = click.argument("name", type=click.Choice(sorted(own)), metavar="NAME")
    profiles, environment = service.store.profiles, service.settings.provider_environment

    @commands.command("set")
    @name_argument
    @_user
    def set_(name: str, user: str) -> None:
        """Set a setting; its value is asked for, or read from standard input, and never shown."""
        value = click.prompt(name, hide_input=True) if sys.stdin.isatty() else sys.stdin.read()
        removed = profiles.set(user, name, own[name].check(value, service.settings.endpoint_allowlist))
        click.echo(f"{name} is set.")
        _tell(removed)
        if name in environment and service.settings.key_policy != "profile-first":
            click.echo(f"{own[name].variable} is set in the environment too, and wins.")

    @commands.command("unset")
    @name_argument
    @_user
    def unset(name: str, user: str) -> None:
        """Remove a setting."""
        removed = profiles.unset(user, name)
        click.echo(f"{name} {'is removed' if removed else 'was not set'}.")
        _tell(removed - {name})

    @commands.command("show")
    @_user
    def show(user: str) -> None:
        """Show which settings are set, and where; never their values."""
        for name, places in _places(service, own, user).items():
            click.echo(f"{name:28} {' wins over '.join(places) or '-'}")

    @commands.command("import-chatbot-ui")
    @click.argument("url", envvar="CHATBOT_UI_DATABASE_URL", metavar="DATABASE_URL")
    def import_chatbot_ui(url: str) -> None:
        """Take the settings of chatbot-ui's users over from its database; what they have set here is not replaced.

        The database's address may be in the variable CHATBOT_UI_DATABASE_URL instead, out of the sight of others.
        """
        _import(service, own, url)

    return commands


def _tell(removed: Collection[str]) -> None:
    """Tell which key is gone with its endpoint."""
    for name in removed:
        click.echo(f"{name} is removed with it: a key is sent to no endpoint but the one it was set for.")


def _places(service: Service, own: Mapping[str, Field], user: str) -> dict[str, list[str]]:
    """Tell for each setting where it is set; what wins is first."""
    found, settings = service.store.profiles.settings(user), service.settings
    places = {}
    for name, setting in own.items():
        in_environment = [setting.variable] * (name in settings.provider_environment)
        in_profile = ["profile"] * (name in found and settings.key_policy != "environment-only")
        wins_here = settings.key_policy == "profile-first"
        places[name] = in_profile + in_environment if wins_here else in_environment + in_profile
    return places


def _import(service: Service, own: Mapping[str, Field], url: str) -> None:
    """Read one profile after the other, and say how many there were."""
    users = added = kept = unusable = 0
    try:
        for user, values in chatbot_ui.read(url, own):
            usable = dict(_usable(service, own, values))
            new = service.store.profiles.add(user, usable)
            users += 1
            added += new
            kept += len(usable) - new
            unusable += len(values) - len(usable)
    except chatbot_ui.SourceError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{users} profiles were read: {added} settings are new here, {kept} gave way to what is here.")
    if unusable:
        click.echo(f"{unusable} settings were left out, because no provider could be asked with them.")


def _usable(service: Service, own: Mapping[str, Field], values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        try:
            yield name, own[name].check(value, service.settings.endpoint_allowlist)
        except Failure:
            continue
