"""Tokens: a login for programs, and for people without an identity provider."""

from datetime import datetime

import click

from ..store.remembered import FRESH_SECONDS
from ..store.tokens import Tokens
from .group import Group
from .user import user_option


def group(tokens: Tokens) -> click.Command:
    """Make the commands for tokens."""
    commands = Group("token", help="Bearer tokens, each of which is a user's login.")

    @commands.command("create")
    @user_option(required=True)
    def create(user: str) -> None:
        """Make a token for a user, and show it, this once."""
        name, token = tokens.create(user)
        click.echo(f"The token of {user}, which is shown only now; its id is {name}:", err=True)
        click.echo(token)

    @commands.command("list")
    def list_() -> None:
        """Show all tokens by their ids: whose, and when they were made, used and revoked (UTC)."""
        for token in tokens.all():
            used = f"revoked {_time(token.revoked_at)}" if token.revoked_at else f"used {_time(token.last_used_at)}"
            click.echo(f"{token.id}  made {_time(token.created_at)}  {used:24}  {token.user}")

    @commands.command("revoke")
    @click.argument("token_id", metavar="ID")
    def revoke(token_id: str) -> None:
        """End a token, by its id."""
        if not tokens.revoke(token_id):
            raise click.ClickException(f"There is no token {token_id!r} that could be revoked. `token list` shows all.")
        click.echo(f"Token {token_id} is revoked; it stops working within {FRESH_SECONDS} seconds.")

    return commands


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "never"
