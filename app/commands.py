"""The operator's commands, in the context of an application: `flask --app wsgi NAME`, or `sluice NAME`."""

import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar

import click
from flask import current_app
from flask.cli import AppGroup

from . import doctor
from .failure import Failure
from .login.local import LOCAL_USER
from .providers import PROVIDERS
from .routes.service import Service
from .store import chatbot_ui
from .store.cache import FRESH_SECONDS
from .store.files import Inaccessible
from .store.profiles import MAX_USER_CHARACTERS, is_user_id

Command = TypeVar("Command", bound=Callable[..., Any])

_FIELDS = {field.name: (provider, field) for provider in PROVIDERS.values() for field in provider.own_fields}
"""What a profile may hold, by name: the field, and the provider that it is for."""


class _Group(AppGroup):
    """A group that prints a failure as one sentence."""

    def invoke(self, ctx: click.Context) -> object:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except Failure as failure:
            cause = failure.__cause__
            closed = f"The database is closed to you: {cause}."
            raise click.ClickException(closed if isinstance(cause, Inaccessible) else failure.message) from failure


commands = AppGroup()
profile = _Group("profile", help="The settings of a user: of this machine's own, unless another is named.")
token = _Group("token", help="Bearer tokens, each of which is a user's login.")
vault = _Group("vault", help="The encryption of what users store.")
for group in (profile, token, vault):
    commands.add_command(group)


def _service() -> Service:
    service: Service = current_app.extensions["sluice"]
    return service


def _user_option(**more: Any) -> Callable[[Command], Command]:  # noqa: ANN401 - click's own
    """Make the option that names a user; `more` is for click."""
    return click.option("--user", callback=_check_user, help="The user's id, as the login gives it.", **more)


def _check_user(_context: click.Context, _option: click.Parameter, user: str) -> str:
    if not is_user_id(user):
        raise click.BadParameter(f"must be 1 to {MAX_USER_CHARACTERS} printable characters.")
    return user


_name = click.argument("name", type=click.Choice(sorted(_FIELDS)), metavar="NAME")
_user = _user_option(default=LOCAL_USER, show_default=True)


@commands.command("migrate")
def migrate() -> None:
    """Bring the database's tables up to date, before a new release starts."""
    try:
        _service().store.database.migrate()
    except Failure as failure:
        raise click.ClickException(f"The database cannot be migrated: {doctor.reason(failure)}") from failure
    click.echo("The database is up to date.")


@commands.command("doctor")
def examine() -> None:
    """Say what is configured, what is exposed and what is unsafe; the status is 1 if anything is."""
    findings = list(doctor.examine(_service(), PROVIDERS.values(), os.environ))
    for finding in findings:
        click.echo(f"{finding.mark:8}{finding.sentence}")
    sys.exit(any(finding.mark == doctor.UNSAFE for finding in findings))


@profile.command("set")
@_name
@_user
def set_setting(name: str, user: str) -> None:
    """Set a setting; its value is asked for, or read from standard input, and never shown."""
    provider, field = _FIELDS[name]
    value = click.prompt(name, hide_input=True) if sys.stdin.isatty() else sys.stdin.read()
    checked = field.check(value, _service().settings.endpoint_allowlist)
    removed = _service().store.profiles.set(user, name, checked)
    click.echo(f"{name} is set.")
    _tell_removed(removed)
    if _service().sources(user).ranked(provider, field)[:1] == ["environment"]:
        click.echo(f"{field.variable} is set in the environment too, and wins.")


@profile.command("unset")
@_name
@_user
def unset_setting(name: str, user: str) -> None:
    """Remove a setting."""
    removed = _service().store.profiles.unset(user, name)
    click.echo(f"{name} {'is removed' if removed else 'was not set'}.")
    _tell_removed(removed - {name})


def _tell_removed(names: Collection[str]) -> None:
    """Say which key is gone together with its endpoint."""
    for name in names:
        click.echo(f"{name} is removed with it: a key is sent to no endpoint but the one it was set for.")


@profile.command("show")
@_user
def show(user: str) -> None:
    """Show where the settings are set that are used; never their values."""
    sources = _service().sources(user)
    for name, (provider, field) in _FIELDS.items():
        told = [field.variable if source == "environment" else source for source in sources.ranked(provider, field)]
        click.echo(f"{name:28} {' wins over '.join(told) or '-'}")


@profile.command("import-chatbot-ui")
@click.argument("url", envvar="CHATBOT_UI_DATABASE_URL", metavar="DATABASE_URL")
def import_chatbot_ui(url: str) -> None:
    """Take the settings of chatbot-ui's users over from its database; what they have set here is not replaced.

    The database's address may be in the variable CHATBOT_UI_DATABASE_URL instead, out of the sight of others.
    """
    users = added = kept = unusable = 0
    try:
        for user, values in chatbot_ui.read(url, _FIELDS):
            usable = dict(_usable(values))
            new = _service().store.profiles.add(user, usable)
            users += 1
            added += new
            kept += len(usable) - new
            unusable += len(values) - len(usable)
    except chatbot_ui.SourceError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{users} profiles were read: {added} settings are new here, {kept} gave way to what is here.")
    if unusable:
        click.echo(f"{unusable} settings were left out, because no provider could be asked with them.")


def _usable(values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the names and values that can be stored."""
    for name, value in values.items():
        try:
            yield name, _FIELDS[name][1].check(value, _service().settings.endpoint_allowlist)
        except Failure:
            continue


@token.command("create")
@_user_option(required=True)
def create_token(user: str) -> None:
    """Make a token for a user, and show it, this once."""
    name, secret = _service().store.tokens.create(user)
    click.echo(f"The token of {user}, which is shown only now; its id is {name}:", err=True)
    click.echo(secret)


@token.command("list")
def list_tokens() -> None:
    """Show all tokens by their ids: whose, and when they were made, used and revoked (UTC)."""
    for one in _service().store.tokens.all():
        used = f"revoked {_time(one.revoked_at)}" if one.revoked_at else f"used {_time(one.last_used_at)}"
        click.echo(f"{one.id}  made {_time(one.created_at)}  {used:24}  {one.user}")


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "never"


@token.command("revoke")
@click.argument("token_id", metavar="ID")
def revoke_token(token_id: str) -> None:
    """End a token, by its id."""
    if not _service().store.tokens.revoke(token_id):
        raise click.ClickException(f"There is no token {token_id!r} that could be revoked. `token list` shows all.")
    click.echo(f"Token {token_id} is revoked; it stops working within {FRESH_SECONDS} seconds.")


@vault.command("rotate")
def rotate() -> None:
    """Encrypt all settings with the first of VAULT_KEYS. Safe while serving; if stopped, run it again."""
    rotated = _service().store.profiles.rotate()
    click.echo(f"{rotated.renewed} settings are encrypted anew, {rotated.current} were already.")
    if rotated.locked:
        raise click.ClickException(f"{rotated.locked} settings cannot be decrypted: a key is missing in VAULT_KEYS.")
    if rotated.renewed:
        click.echo("The other keys can be removed from VAULT_KEYS, once every process has the first one.")
