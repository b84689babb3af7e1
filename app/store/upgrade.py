"""Runs Alembic without its configuration file, over the connection of the service.

Imported only if there is something to migrate, because the import takes a tenth of the time of a start.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection

from . import tables
from .vault import Vault


def upgrade(connection: Connection, migrations: Path, vault: Vault, schema: str | None) -> None:
    """Run the migrations up to the newest. Raises `OSError` if the database has an unknown revision."""
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.attributes.update(connection=connection, vault=vault, target_metadata=tables.metadata)
    if schema:
        config.attributes.update(version_table_schema=schema)
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise OSError(str(error)) from error
