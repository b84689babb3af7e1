"""The commands of `flask --app wsgi`."""

import sys
from collections.abc import Iterable

import click

from .. import doctor
from ..failure import Failure
from ..providers import Provider
from ..routes.service import Service
from ..store import Store
from . import profile, token, vault


def groups(service: Service, providers: Iterable[Provider]) -> list[click.Command]:
    """Make the commands."""
    known = tuple(providers)
    return [
        profile.group(service, known),
        token.group(service.store.tokens),
        vault.group(service.store.profiles),
        _doctor(service, known),
        _migrate(service.store),
    ]


def _migrate(store: Store) -> click.Command:
    @click.command("migrate")
    def migrate() -> None:
        """Bring the database's tables up to date, before a new release starts."""
        try:
            store.database.migrate()
        except Failure as failure:
            raise click.ClickException(f"The database cannot be migrated: {doctor.reason(failure)}") from failure
        click.echo("The database is up to date.")

    return migrate


def _doctor(service: Service, providers: Iterable[Provider]) -> click.Command:
    @click.command("doctor")
    def examine() -> None:
        """Say what is configured, what is exposed and what is unsafe; the status is 1 if anything is."""
        findings = list(doctor.examine(service, providers))
        for finding in findings:
            click.echo(f"{finding.mark:8}{finding.sentence}")
        sys.exit(any(finding.mark == doctor.UNSAFE for finding in findings))

    return examine
