"""Migrates the database under a lock, so that of several processes that start at once, one does it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from time import monotonic, sleep

from sqlalchemy import Connection, Engine, column, inspect, select, table, text
from sqlalchemy.schema import CreateSchema

from . import tables
from .files import open_lock
from .vault import Vault

MIGRATIONS = Path(__file__).parent / "migrations"
SCHEMA = "sluice"
"""The schema of the tables in Postgres."""
TURN_SECONDS = 10
"""How long a process waits for another one that migrates, before the database counts as not usable."""
_LOCK = 0x736C75696365  # "sluice": Postgres names its advisory locks by numbers


def migrate(engine: Engine, vault: Vault) -> None:
    """Open the vault, and bring the database to the newest revision."""
    with _file_lock(engine):  # before anything connects: the first connections to a new SQLite file would collide
        vault.prepare(may_make_key=not _holds_settings(engine))
        if _is_current(engine):  # a current database may be read-only
            return
        was_plain = _upgrade(engine, vault)
        if was_plain:  # The file still has the old values in plain text.
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("VACUUM")
        if engine.dialect.name == "sqlite":
            with engine.connect() as connection:  # And so has the write-ahead log.
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def _upgrade(engine: Engine, vault: Vault) -> bool:
    """Run the migrations; tell whether an SQLite database had settings in plain text."""
    alembic = import_module(".upgrade", __package__)  # before the transaction, for which others wait
    with engine.begin() as connection:
        is_postgres = engine.dialect.name == "postgresql"
        if is_postgres:
            _lock_postgres(connection)
        else:  # Python's driver begins no transaction for DDL: an error would leave half a migration.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        names = [] if is_postgres else inspect(connection).get_table_names()
        alembic.upgrade(connection, MIGRATIONS, vault, SCHEMA if is_postgres else None)
    return tables.settings.name in names and tables.tokens.name not in names


@contextmanager
def _file_lock(engine: Engine) -> Iterator[None]:
    """Hold a lock on a file beside an SQLite database. The system releases it when the process ends.

    If the file belongs to another user, SQLite's own lock is enough: only a new database needs this one.
    """
    if engine.dialect.name != "sqlite" or not engine.url.database:
        yield
        return
    lock = open_lock(Path(engine.url.database))
    try:
        deadline = monotonic() + TURN_SECONDS
        while lock is not None and not _is_locked(lock):
            if monotonic() > deadline:
                raise TimeoutError("another process is migrating it, and does not end")
            sleep(0.05)
        yield
    finally:
        if lock is not None:
            os.close(lock)


def _is_current(engine: Engine) -> bool:
    """Tell whether the database has the newest revision."""
    newest = max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("0*.py"))
    schema = SCHEMA if engine.dialect.name == "postgresql" else None
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version", schema):
            return False
        version = table("alembic_version", column("version_num"), schema=schema)
        return connection.execute(select(version.c.version_num)).scalars().all() == [newest]


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holds_settings(engine: Engine) -> bool:
    """Tell whether the database has encrypted settings, so that a key for them must exist."""
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql" or not inspect(connection).has_table(tables.tokens.name):
            return False
        return connection.execute(select(tables.settings.c.name).limit(1)).first() is not None


def _lock_postgres(connection: Connection) -> None:
    """Hold an advisory lock until the transaction ends, and make the schema."""
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text(f"SET LOCAL lock_timeout = '{TURN_SECONDS}s'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    if not inspect(connection).has_schema(SCHEMA):
        connection.execute(CreateSchema(SCHEMA))
