"""Databases as earlier releases left them, and the way there and back."""

from collections.abc import Callable

from alembic import command
from alembic.config import Config
from sqlalchemy.schema import CreateSchema

from app.store.migrate import MIGRATIONS, SCHEMA
from app.store.vault import Vault
from tests.store.stores import FIRST, engine, is_sqlite, query

RELEASED = ("0001",)
"""The last revision of each release that there was; the next release adds its own."""


def released(url: str, revision: str, values: dict[tuple[str, str], str]) -> None:
    """Make a database as a release left it, with these settings of users in it, by user and name."""
    upgrade(url, revision)
    for user in sorted({user for user, _ in values}):
        query(url, "INSERT INTO profiles (user_id) VALUES (:user)", user=user)
    for (user, name), value in values.items():
        statement = "INSERT INTO settings (user_id, name, value) VALUES (:user, :name, :value)"
        query(url, statement, user=user, name=name, value=value)


def upgrade(url: str, revision: str = "head") -> None:
    _run(command.upgrade, url, revision)


def downgrade(url: str, revision: str) -> None:
    _run(command.downgrade, url, revision)


def _run(change: Callable[[Config, str], None], url: str, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    vault = Vault((FIRST,), None)
    vault.prepare(may_make_key=False)
    with engine(url).begin() as connection:
        if not is_sqlite(url):
            connection.execute(CreateSchema(SCHEMA, if_not_exists=True))
        config.attributes.update(connection=connection, vault=vault)
        change(config, revision)
