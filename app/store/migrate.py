"""Alembic, run by the service itself: no configuration file, no second place that knows the database's URL."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine

MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(engine: Engine) -> None:
    """Bring the database to the newest revision; processes that start at once take turns."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with _turn(engine), engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def _turn(engine: Engine) -> Iterator[None]:
    """Hold a lock beside an SQLite database's file. It is released with the file, however the process ends."""
    if engine.dialect.name != "sqlite" or not engine.url.database:
        yield
        return
    with Path(f"{engine.url.database}.lock").open("w") as lock:
        os.fchmod(lock.fileno(), 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
