"""What is kept: users' profiles, in one database."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from alembic.util import CommandError
from gevent.monkey import is_module_patched
from gevent.threadpool import ThreadPool
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from app.answer import Failure
from app.config import SettingError
from app.store import profiles
from app.store.migrate import migrate

T = TypeVar("T")

BUSY_SECONDS = 1
"""How long a locked SQLite database is waited for."""
MAX_THREADS = 4
"""How many calls SQLite may work on at once."""


REMEMBER_SECONDS = 10
MAX_REMEMBERED = 10_000


class _Remembered(NamedTuple):
    """A user's settings, and the state of the database from before they were read."""

    settings: Mapping[str, str]
    state: tuple[int, ...] | None
    until: float


class Store:
    """The database. Each call is one transaction; none is open while an answer streams.

    Every method raises `Failure` 503 while the database cannot be used, and needs no restart when it can again.
    """

    def __init__(self, url: str) -> None:
        """Take a SQLAlchemy URL. An SQLite database is made when it is first used. Raises `SettingError`."""
        try:
            self._url = make_url(url)
            self._is_sqlite = self._url.get_backend_name() == "sqlite"
            self._engine = _sqlite_engine(self._url) if self._is_sqlite else _engine(self._url, pool_pre_ping=True)
        except ArgumentError as error:
            raise SettingError("DATABASE_URL is not the URL of a database.") from error
        except ModuleNotFoundError as error:
            raise SettingError(f"DATABASE_URL needs the driver {error.name}, which is not installed.") from error
        self._migrated = not self._is_sqlite
        self._pool: Any = None
        self._remembered: dict[str, _Remembered] = {}

    def prepare(self) -> None:
        """Make an SQLite database; any other is made by the release that comes before the start."""
        if not self._migrated:
            self.migrate()

    def migrate(self) -> None:
        """Bring the database's tables up to date; a database that others migrate right now is waited for."""
        self._off_loop(self._migrate)

    def check(self) -> None:
        """Ask the database anything."""
        self._run(lambda connection: connection.execute(text("SELECT 1")))

    def settings(self, user: str) -> Mapping[str, str]:
        """Return the settings in a user's profile, empty if there is none.

        Remembered for a few seconds, in which no process may have written to the database: SQLite's files tell.
        """
        state = self._state()
        remembered = self._remembered.get(user)
        if remembered is None or remembered.state != state or remembered.until < monotonic():
            found = self._run(partial(profiles.settings, user=user))
            remembered = _Remembered(MappingProxyType(found), state, monotonic() + REMEMBER_SECONDS)
            if state is not None:
                self._remember(user, remembered)
        return remembered.settings

    def set(self, user: str, name: str, value: str) -> None:
        """Set one setting in a user's profile, which is made if there is none."""
        self._run(partial(profiles.set_, user=user, name=name, value=value))

    def unset(self, user: str, name: str) -> bool:
        """Remove one setting; tell whether it was there."""
        return self._run(partial(profiles.unset, user=user, name=name))

    def _remember(self, user: str, remembered: "_Remembered") -> None:
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[user] = remembered

    def _state(self) -> tuple[int, ...] | None:
        """Return what changes with every write to an SQLite file or to its log; None of any other database."""
        if not self._is_sqlite or not self._url.database:
            return None
        try:
            files = [Path(self._url.database + suffix).stat() for suffix in ("", "-wal")]
        except OSError:
            return None
        return tuple(number for file in files for number in (file.st_ino, file.st_size, file.st_mtime_ns))

    def _run(self, work: Callable[[Connection], T]) -> T:
        self.prepare()
        return self._off_loop(lambda: self._transaction(work))

    def _transaction(self, work: Callable[[Connection], T]) -> T:
        with self._engine.begin() as connection:
            return work(connection)

    def _migrate(self) -> None:
        if self._is_sqlite:
            _make_private(self._url)
        migrate(self._engine)
        self._engine.dispose()  # before a server forks: a connection must not be used on both sides
        self._migrated = True

    def _threads(self) -> Any:  # noqa: ANN401 - gevent has no types
        """Return threads of our own, made when first needed: those of gevent's loop may all wait for slow names."""
        if self._pool is None:
            self._pool = ThreadPool(MAX_THREADS)
        return self._pool

    def _off_loop(self, work: Callable[[], T]) -> T:
        """Run SQLite's calls, which block, beside gevent's loop; a driver with a socket of its own cooperates."""
        off = self._is_sqlite and is_module_patched("socket")
        result, error = self._threads().apply(_outcome, (work,)) if off else _outcome(work)
        if error is not None:
            message = "The profiles cannot be read at the moment. Please try again in a few seconds."
            raise Failure(503, "db_unavailable", message, {"Retry-After": "5"}) from error
        return result  # type: ignore[no-any-return]


def _outcome(work: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """Return a result or an error. One raised in gevent's thread pool would be printed there."""
    try:
        return work(), None
    except (SQLAlchemyError, CommandError, OSError) as error:
        return None, error


def _engine(url: URL, **options: Any) -> Engine:  # noqa: ANN401 - SQLAlchemy's own
    """Make an engine whose errors do not show the values of a statement."""
    return create_engine(url, hide_parameters=True, **options)


def _sqlite_engine(url: URL) -> Engine:
    """Make an engine that keeps a connection for each thread there is to use one."""
    engine = _engine(url, poolclass=QueuePool, pool_size=MAX_THREADS, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def prepare(connection, _record) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - DBAPI objects
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    return engine


def _make_private(url: URL) -> None:
    """Make the database's file before SQLite does, and readable by its owner alone: keys are in it."""
    if url.database:
        path = Path(url.database)
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        with suppress(PermissionError):  # one that was here before, and is not ours
            os.fchmod(descriptor, 0o600)
        os.close(descriptor)
