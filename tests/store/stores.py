"""The store's databases from outside: how the tests open them, ask them past the store, and read all of their bytes."""

import base64
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import Any, TypeVar

from sqlalchemy import Engine, NullPool, create_engine, make_url, select, text

from app import config
from app.config import Settings
from app.failure import Failure
from app.store import Store, tables
from app.store.migrate import SCHEMA
from tests.processes import environment_without
from tests.servers import program

T = TypeVar("T")

FIRST, SECOND, THIRD = (base64.urlsafe_b64encode(bytes([number] * 32)).decode() for number in (1, 2, 3))
"""Keys for the vault."""
KEY, ENDPOINT = "azure_openai_api_key", "azure_openai_endpoint"
KEY_OF = {ENDPOINT: KEY}
BESIDE = "beside the store"
"""What the tests call themselves where they connect past the store."""
OpenStore = Callable[..., Store]
"""Opens the test's database as one more process would, with the vault's keys: `FIRST` unless others are given."""


@dataclass
class Clock:
    """The time that the memory of what was read goes by."""

    now: float = 1000

    def __call__(self) -> float:
        return self.now


def settings(url: str, *keys: str) -> Settings:
    """Read the settings from an environment, as the service does."""
    return config.read({"DATABASE_URL": url, "VAULT_KEYS": ",".join(keys)})


def engine(url: str) -> Engine:
    """Return what connects past the store, and keeps no connection. Its tables are the store's, if there are any."""
    options = {} if is_sqlite(url) else {"options": f"-c search_path={SCHEMA},public", "application_name": BESIDE}
    return create_engine(make_url(config.with_driver(url)), poolclass=NullPool, connect_args=options)


def query(url: str, statement: str, **values: object) -> list[tuple[Any, ...]]:
    """Ask a database past the store, or change it."""
    with engine(url).begin() as connection:
        found = connection.execute(text(statement), values)
        return [tuple(row) for row in found] if found.returns_rows else []


def names(store: Store, user: str) -> set[str]:
    """Return the names of a user's settings as they are, whatever the cache has of them."""
    query = select(tables.settings.c.name).where(tables.settings.c.user_id == user)
    return store.database.run(lambda connection: set(connection.execute(query).scalars()))


def sealed(url: str) -> dict[tuple[str, str], str]:
    """Return the values as the database has them, by user and name."""
    return {(user, name): value for user, name, value in query(url, "SELECT user_id, name, value FROM settings")}


def everything(url: str) -> bytes:
    """Return all that is in a database: SQLite's files and whatever lies beside them, or PostgreSQL's own dump."""
    if is_sqlite(url):
        folder = sqlite_file(url).parent
        return b"".join(path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file())
    command = [program("pg_dump"), "--dbname", url]
    return subprocess.run(command, env=environment_without({}), check=True, capture_output=True).stdout


def is_sqlite(url: str) -> bool:
    return make_url(url).get_backend_name() == "sqlite"


def sqlite_file(url: str) -> Path:
    return Path(make_url(url).database or "")


def at_once(*work: Callable[[], object]) -> None:
    """Do it all at the same time, each in a thread."""
    begin, failed = threading.Barrier(len(work)), list[BaseException]()

    def run(part: Callable[[], object]) -> None:
        begin.wait()
        try:
            part()
        except BaseException as error:  # noqa: BLE001 - of whatever kind, it is raised where the test sees it
            failed.append(error)

    threads = [threading.Thread(target=run, args=(part,)) for part in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in failed:
        raise error


def patiently(change: Callable[[], T]) -> T:
    """Make a change, again if it is refused; leave others a chance, as SQLite lets in whoever asks at that moment."""
    while True:
        sleep(0.002)
        try:
            return change()
        except Failure as failure:
            if failure.code != "db_unavailable":
                raise
