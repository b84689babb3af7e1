"""The vault's keys."""

import click

from ..store.profiles import Profiles
from .group import Group


def group(profiles: Profiles) -> click.Command:
    """Make the commands for the vault."""
    commands = Group("vault", help="The encryption of what users store.")

    @commands.command("rotate")
    def rotate() -> None:
        """Encrypt all settings with the first of VAULT_KEYS. Safe while serving; if stopped, run it again."""
        rotated = profiles.rotate()
        click.echo(f"{rotated.renewed} settings are encrypted anew, {rotated.current} were already.")
        if rotated.locked:
            raise click.ClickException(
                f"{rotated.locked} settings cannot be decrypted: a key is missing in VAULT_KEYS."
            )
        if rotated.renewed:
            click.echo("The other keys can be removed from VAULT_KEYS, once every process has the first one.")

    return commands
