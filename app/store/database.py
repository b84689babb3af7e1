"""The database: SQLite or Postgres, one transaction a call, and never in the way of running streams."""

import os
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import gevent
from gevent.monkey import is_module_patched
from gevent.threadpool import ThreadPool
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from ..config import SettingError
from ..failure import Code, Failure
from .files import Inaccessible, make_private, require_access
from .migrate import SCHEMA, migrate
from .vault import Vault

T = TypeVar("T")

BUSY_SECONDS = 1
"""How long a locked SQLite database is waited for."""
MAX_THREADS = 4
"""How many calls SQLite may work on at once."""
MAX_CONNECTIONS = 10
"""How many connections to Postgres one process may have open."""
CONNECT_SECONDS = 2
"""How long one of them may take to be made, or to become free."""
CALL_SECONDS = 3
"""How long a call may take in all, a server that says nothing included."""
QUEUE_SECONDS = 6
"""How long a call to SQLite may take, those before it included."""


DOWN_SECONDS = 2
"""How long a database that could not be asked is left alone by those who can do without."""


class Database:
    """Where everything is kept. Each call is one transaction; none is open while an answer streams.

    Every method raises `Failure` 503 while the database cannot be used, and needs no restart when it can again.
    """

    def __init__(self, url: str, keys: tuple[str, ...]) -> None:
        """Take a SQLAlchemy URL, and the vault's keys. Nothing is connected or made yet. Raises `SettingError`."""
        try:
            self._url = make_url(url)
            self.is_sqlite = self._url.get_backend_name() == "sqlite"
            self._engine = _sqlite_engine(self._url) if self.is_sqlite else _postgres_engine(self._url)
        except (ArgumentError, ValueError):  # whose words may be a part of a password
            raise SettingError("DATABASE_URL is not the URL of a database.") from None
        except ModuleNotFoundError as error:
            raise SettingError("DATABASE_URL must begin with sqlite:// or postgres://.") from error
        if "@" in (self._url.host or ""):  # which would be shown, as a host that is not found
            raise SettingError("DATABASE_URL has an @ too many: in a password it is written %40.")
        if self.is_sqlite and self._url.database in (None, "", ":memory:"):
            raise SettingError("DATABASE_URL must name a file: a database in memory would be another for each thread.")
        self.vault = self._vault(keys)
        self._files = [f"{self._url.database}{suffix}" for suffix in ("", "-wal")]
        self._migrated = False
        self._left_alone_until: float | None = None
        self._pool: Any = None

    @property
    def name(self) -> str:
        """Say which database this is, without its password."""
        return str(self._url.set(query={}))

    @property
    def is_encrypted(self) -> bool:
        """Whether nobody on the way to the database can listen."""
        mode = self._url.query.get("sslmode", "")
        is_here = self.is_sqlite or (self._url.host or "localhost") in {"localhost", "127.0.0.1", "::1"}
        return is_here or mode in {"require", "verify-ca", "verify-full"}

    def migrate(self) -> None:
        """Make the database or bring it up to date; processes that do so at once take turns."""
        self._off_loop(self._migrate)

    def prepare(self) -> None:
        """Do so unless this process has, or has seen it done."""
        if not self._migrated:
            self.migrate()

    def close(self) -> None:
        """Close the connections, and end the threads, before a server forks: neither is of use on its other side."""
        self._engine.dispose()
        if self._pool is not None:
            self._pool.kill()
            self._pool = None

    def check(self) -> None:
        """Ask the database anything."""
        self.run(lambda connection: connection.execute(text("SELECT 1")))

    def run(self, work: Callable[[Connection], T]) -> T:
        """Do some work in one transaction."""
        self.prepare()
        return self._off_loop(partial(self._transaction, work), QUEUE_SECONDS if self.is_sqlite else CALL_SECONDS)

    def may_be_asked(self) -> bool:
        """Tell those who can do without it whether to ask: after it failed, one of them now and then."""
        if self._left_alone_until is None:
            return True
        if monotonic() < self._left_alone_until:
            return False
        self._left_alone_until = monotonic() + CALL_SECONDS + DOWN_SECONDS
        return True

    def state(self) -> tuple[int, ...]:
        """Return a cache version: inode, size and time of the SQLite file and its write-ahead log; () for Postgres.

        It changes with every write of any process.
        """
        if not self.is_sqlite:
            return ()
        try:
            file, log = map(os.stat, self._files)  # not `Path.stat`: this is a part of every request
        except OSError:
            return ()
        return (file.st_ino, file.st_size, file.st_mtime_ns, log.st_ino, log.st_size, log.st_mtime_ns)

    def _vault(self, keys: tuple[str, ...]) -> Vault:
        """Return the vault, whose key is in a file beside an SQLite database unless it was given."""
        if not self.is_sqlite and not keys:
            raise SettingError(
                "VAULT_KEYS must be set, because the keys in a shared database are encrypted. To make one: "
                "python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"
            )
        return Vault(keys, Path(f"{self._url.database}.key") if self.is_sqlite else None)

    def _inaccessible(self) -> Inaccessible | None:
        """Return what the files' permissions are to blame for, in words that name them."""
        try:
            if self.is_sqlite:
                require_access(Path(self._url.database or ""))
        except Inaccessible as error:
            return error
        return None

    def _transaction(self, work: Callable[[Connection], T]) -> T:
        with self._engine.begin() as connection:
            return work(connection)

    def _migrate(self) -> None:
        if self.is_sqlite:
            make_private(Path(self._url.database or ""))
        migrate(self._engine, self.vault)
        self._migrated = True

    def _threads(self) -> Any:  # noqa: ANN401 - gevent has no types
        """Return threads of our own, made when first needed: those of gevent's loop may all wait for slow names."""
        if self._pool is None:
            self._pool = ThreadPool(MAX_THREADS)
        return self._pool

    def _off_loop(self, work: Callable[[], T], seconds: float | None = None) -> T:
        """Run SQLite's calls, which block, beside gevent's loop; a driver with a socket of its own cooperates.

        What takes longer than so many seconds is given up, and its connection. Threads rely on the kernel's deadlines.
        """
        is_patched = is_module_patched("socket")
        late = gevent.Timeout(seconds if is_patched else None)
        try:
            with late:
                off = self.is_sqlite and is_patched
                result, error = self._threads().apply(_outcome, (work,)) if off else _outcome(work)
        except gevent.Timeout as given_up:
            if given_up is not late:
                raise
            result, error = None, TimeoutError("the database does not answer")
        if isinstance(error, Failure):
            raise error
        if error is not None:
            error = self._inaccessible() or error
            self._left_alone_until = monotonic() + DOWN_SECONDS
            message = "The profiles cannot be read at the moment. Please try again in a few seconds."
            raise Failure(Code.DB_UNAVAILABLE, message) from error
        self._left_alone_until = None
        return result  # type: ignore[no-any-return]


def _outcome(work: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """Return a result or an error. One raised in gevent's thread pool would be printed there."""
    try:
        return work(), None
    except (SQLAlchemyError, OSError, Failure) as error:
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
        connection.execute("PRAGMA secure_delete=ON")  # What was replaced or removed is not left in the file.

    return engine


def _postgres_engine(url: URL) -> Engine:
    """Make an engine with a bounded pool, whose connections notice within seconds that their server is gone.

    The tables are in a schema of their own, because the database may be chatbot-ui's, which has a table `profiles`.
    Statements are not prepared at the server, where a pooler between would give the next one to another server process.
    """
    engine = _engine(
        url,
        pool_pre_ping=True,
        pool_size=MAX_CONNECTIONS,
        max_overflow=0,
        pool_timeout=CONNECT_SECONDS,
        execution_options={"schema_translate_map": {None: SCHEMA}},
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "tcp_user_timeout": CALL_SECONDS * 1000,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 2,
            "prepare_threshold": None,
        },
    )

    @event.listens_for(engine, "connect")
    def limit(connection, _record) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - DBAPI objects
        connection.execute(f"SET statement_timeout = '{CALL_SECONDS}s'")  # or the server goes on for nobody
        connection.commit()

    @event.listens_for(engine, "do_connect")
    def resolve(_dialect, _record, _arguments, options) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        options |= _resolved(options)

    return engine


def _resolved(options: dict[str, Any]) -> dict[str, Any]:
    """Look a server's name up for libpq, which would stop gevent's loop for it.

    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-HOSTADDR: the name still counts for TLS.
    """
    host = options.get("host", "")
    if not is_module_patched("socket") or not host or host.startswith("/") or "," in host or "hostaddr" in options:
        return {}
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    addresses = [str(where[0]) for *_, where in found]
    return {"host": ",".join([host] * len(addresses)), "hostaddr": ",".join(addresses)}
