"""The database: SQLite or Postgres, one transaction for each call, without blocking running streams."""

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
"""How long a call waits for a locked SQLite database."""
MAX_THREADS = 4
"""How many calls to SQLite may run at once."""
MAX_CONNECTIONS = 10
"""The size of the connection pool for Postgres, in each process."""
CONNECT_SECONDS = 2
"""How long connecting to Postgres may take, and waiting for a free connection."""
CALL_SECONDS = 3
"""How long a call to Postgres may take in all, also if the server does not answer."""
QUEUE_SECONDS = 6
"""How long a call to SQLite may take, including the calls before it in the queue."""
DOWN_SECONDS = 2
"""How long the circuit breaker stays open after a failure, for callers that can do without the database."""


class Database:
    """The database. Each call is one transaction; no transaction is open while an answer streams.

    All methods raise `Failure` 503 while the database cannot be used. No restart is needed afterwards.
    """

    def __init__(self, url: str, keys: tuple[str, ...]) -> None:
        """Take a SQLAlchemy URL, and the vault's keys. Nothing is connected or made yet. Raises `SettingError`."""
        try:
            self._url = make_url(url)
            self.is_sqlite = self._url.get_backend_name() == "sqlite"
            self._engine = _sqlite_engine(self._url) if self.is_sqlite else _postgres_engine(self._url)
        except (ArgumentError, ValueError):  # the message may have a part of a password
            raise SettingError("DATABASE_URL is not the URL of a database.") from None
        except ModuleNotFoundError as error:
            raise SettingError("DATABASE_URL must begin with sqlite:// or postgres://.") from error
        if "@" in (self._url.host or ""):  # a part of the password, which an error about the host would show
            raise SettingError("DATABASE_URL has an @ too many: in a password it is written %40.")
        if self.is_sqlite and self._url.database in (None, "", ":memory:"):
            raise SettingError("DATABASE_URL must name a file: a database in memory would be another for each thread.")
        self.vault = self._vault(keys)
        self._files = [f"{self._url.database}{suffix}" for suffix in ("", "-wal")]
        self._migrated = False
        self._open_until: float | None = None
        self._pool: Any = None

    @property
    def name(self) -> str:
        """The URL of the database, without its password."""
        return str(self._url.set(query={}))

    @property
    def is_encrypted(self) -> bool:
        """Whether the connection to the database is encrypted, or stays on this machine."""
        mode = self._url.query.get("sslmode", "")
        is_here = self.is_sqlite or (self._url.host or "localhost") in {"localhost", "127.0.0.1", "::1"}
        return is_here or mode in {"require", "verify-ca", "verify-full"}

    def migrate(self) -> None:
        """Make the database, or bring it to the newest revision; of several processes, one at a time does so."""
        self._off_loop(self._migrate)

    def prepare(self) -> None:
        """Migrate, unless this process has done or seen that already."""
        if not self._migrated:
            self.migrate()

    def close(self) -> None:
        """Close the connections and end the threads. Called before a server forks: a child cannot use them."""
        self._engine.dispose()
        if self._pool is not None:
            self._pool.kill()
            self._pool = None

    def check(self) -> None:
        """Raise `Failure` unless the database answers a query."""
        self.run(lambda connection: connection.execute(text("SELECT 1")))

    def run(self, work: Callable[[Connection], T]) -> T:
        """Run a function in one transaction, and return its result."""
        self.prepare()
        return self._off_loop(partial(self._transaction, work), QUEUE_SECONDS if self.is_sqlite else CALL_SECONDS)

    def may_be_called(self) -> bool:
        """Tell a caller that can do without the database whether to call it: a circuit breaker.

        It opens with a failure; after `DOWN_SECONDS`, one caller at a time may probe, until a call succeeds.
        """
        if self._open_until is None:
            return True
        if monotonic() < self._open_until:
            return False
        self._open_until = monotonic() + CALL_SECONDS + DOWN_SECONDS
        return True

    def version(self) -> tuple[int, ...]:
        """Return inode, size and mtime of the SQLite file and its write-ahead log; () for Postgres.

        It changes with every write of any process, so a cache can see that its entries are old.
        """
        if not self.is_sqlite:
            return ()
        try:
            file, log = map(os.stat, self._files)  # not `Path.stat`: this is a part of every request
        except OSError:
            return ()
        return (file.st_ino, file.st_size, file.st_mtime_ns, log.st_ino, log.st_size, log.st_mtime_ns)

    def _vault(self, keys: tuple[str, ...]) -> Vault:
        """Return the vault. Without given keys, its key is in a file beside the SQLite database."""
        if not self.is_sqlite and not keys:
            raise SettingError(
                "VAULT_KEYS must be set, because the keys in a shared database are encrypted. To make one: "
                "python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"
            )
        return Vault(keys, Path(f"{self._url.database}.key") if self.is_sqlite else None)

    def _inaccessible(self) -> Inaccessible | None:
        """Return an error that names the file, if permissions are the reason why SQLite fails."""
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
        """Return a thread pool of our own, made at first use: gevent's own may be full of slow DNS look-ups."""
        if self._pool is None:
            self._pool = ThreadPool(MAX_THREADS)
        return self._pool

    def _off_loop(self, work: Callable[[], T], seconds: float | None = None) -> T:
        """Run a call without blocking gevent's loop: SQLite in a thread; the driver of Postgres cooperates by itself.

        After so many seconds, the call and its connection are given up. Without gevent, the driver's timeouts apply.
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
            self._open_until = monotonic() + DOWN_SECONDS
            message = "The profiles cannot be read at the moment. Please try again in a few seconds."
            raise Failure(Code.DB_UNAVAILABLE, message) from error
        self._open_until = None
        return result  # type: ignore[no-any-return]  # of type T, which the pool loses


def _outcome(work: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """Return a result or an error; gevent's thread pool would print an exception that is raised in it."""
    try:
        return work(), None
    except (SQLAlchemyError, OSError, Failure) as error:
        return None, error


def _engine(url: URL, **options: Any) -> Engine:  # noqa: ANN401 - SQLAlchemy's own
    """Make an engine whose errors do not contain the values of a statement."""
    return create_engine(url, hide_parameters=True, **options)


def _sqlite_engine(url: URL) -> Engine:
    """Make an engine with one connection for each thread."""
    engine = _engine(url, poolclass=QueuePool, pool_size=MAX_THREADS, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def prepare(connection, _record) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - DBAPI objects
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA secure_delete=ON")  # old and removed values are not left in the file

    return engine


def _postgres_engine(url: URL) -> Engine:
    """Make an engine with a bounded connection pool, which notices within seconds that the server is gone.

    The tables are in a schema of their own, because the database may be chatbot-ui's, which has a table `profiles`.
    There are no prepared statements, because a pooler such as PgBouncer would run the next one in another session.
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
        connection.execute(f"SET statement_timeout = '{CALL_SECONDS}s'")  # or the server would go on after we gave up
        connection.commit()

    @event.listens_for(engine, "do_connect")
    def resolve(_dialect: object, _record: object, _arguments: object, options: dict[str, Any]) -> None:
        options |= _resolved(options)

    return engine


def _resolved(options: dict[str, Any]) -> dict[str, Any]:
    """Look the server's name up before libpq does, because libpq would block gevent's loop.

    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-HOSTADDR: TLS still checks the name.
    """
    host = options.get("host", "")
    if not is_module_patched("socket") or not host or host.startswith("/") or "," in host or "hostaddr" in options:
        return {}
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    addresses = [str(where[0]) for *_, where in found]
    return {"host": ",".join([host] * len(addresses)), "hostaddr": ",".join(addresses)}
