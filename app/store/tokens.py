"""Bearer tokens, for programs and pages without another login. Only the SHA-256 of a token is stored."""

import hmac
import re
import secrets
from collections.abc import Collection, Hashable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from math import inf
from threading import Event, Lock
from time import monotonic, sleep
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, func, insert, select, update

from ..background import Background
from ..failure import Failure
from . import cache, tables
from .cache import Cache
from .database import Database
from .profiles import Profiles

PREFIX = "sluice_"
RECORD_SECONDS = 60
"""How often the last use of a token is written to the database."""
BATCH_SECONDS = 0.5
"""How long uses are collected before they are written together."""

_SHAPE = re.compile(PREFIX + r"[A-Za-z0-9_-]{43}", re.ASCII)
_TOKENS = tables.tokens.c
_VALID = select(_TOKENS.hash, _TOKENS.id, _TOKENS.user_id).where(
    _TOKENS.hash == bindparam("hash"), _TOKENS.revoked_at.is_(None)
)
_ANY = select(_TOKENS.id).limit(1)


class Token(NamedTuple):
    """A stored token. Only its hash is kept, so it is listed by a random id."""

    id: str
    user: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class _Owned(NamedTuple):
    """The id of a valid token, and its user."""

    id: str
    user: str


class Tokens:
    """All tokens. Raises `Failure` 503 while the database cannot be used."""

    def __init__(self, database: Database, profiles: Profiles) -> None:
        """Take the database, and the profiles of the users of the tokens."""
        self._database = database
        self._profiles = profiles
        self._valid: Cache[_Owned] = Cache(database)
        self._existence: Cache[bool] = Cache(database)
        self._uses = _Uses(database, self._valid)

    def create(self, user: str) -> tuple[str, str]:
        """Make a token of 256 random bits for a user; return its id and the token, which is stored nowhere."""
        token, name = PREFIX + secrets.token_urlsafe(32), secrets.token_hex(4)
        self._profiles.welcome(user)
        row = insert(tables.tokens).values(id=name, hash=_hash(token), user_id=user)
        self._database.run(lambda connection: connection.execute(row))
        self._existence.forget(None)
        return name, token

    def all(self) -> list[Token]:
        """Return all tokens, also revoked ones, the oldest first."""
        columns = (_TOKENS.id, _TOKENS.user_id, _TOKENS.created_at, _TOKENS.last_used_at, _TOKENS.revoked_at)
        query = select(*columns).order_by(_TOKENS.created_at, _TOKENS.id)
        return self._database.run(lambda connection: [_token(*row) for row in connection.execute(query)])

    def revoke(self, name: str) -> bool:
        """Revoke a token by its id; tell whether there was a valid one. All processes refuse it in `FRESH_SECONDS`."""
        found = self._database.run(partial(_revoke, name=name))
        if found is not None:
            self._valid.forget(found)
        return found is not None

    def exist(self) -> bool:
        """Tell whether there is a token, even a revoked one: since the first, nobody is let in without a login."""
        read = partial(self._database.run, lambda connection: connection.execute(_ANY).first() is not None)
        return self._existence.get(None, read)

    def user(self, token: str) -> str | None:
        """Return the user of a token, None if the token is not valid."""
        if not _SHAPE.fullmatch(token):
            return None
        hashed = _hash(token)
        try:
            known = self._valid.get(hashed, partial(self._read, hashed))
        except LookupError:
            return None
        self._uses.record(known.id)
        return known.user

    def _read(self, hashed: str) -> _Owned:
        """Return the id and user of the token with this hash. Raises `LookupError`, so a wrong token is not cached."""
        row = self._database.run(lambda connection: connection.execute(_VALID, {"hash": hashed}).first())
        if row is None or not hmac.compare_digest(row.hash, hashed):
            raise LookupError
        return _Owned(row.id, row.user_id)


class _Uses:
    """Background work while tokens are used: it writes their last uses, and drops revoked tokens from the cache.

    The first use is written at once, later ones at most every `RECORD_SECONDS`. The cache is compared with the database
    every `FRESH_SECONDS`, so that a token that was revoked before an outage does not serve in it.
    """

    def __init__(self, database: Database, valid: Cache[_Owned]) -> None:
        self._database = database
        self._valid = valid
        self._used: set[str] = set()
        self._written_at: dict[str, float] = {}
        self._lock = Lock()
        self._due = Event()
        self._thread = Background(self._run)

    def record(self, name: str) -> None:
        """Note a use, which the background thread writes."""
        if self._thread.is_running and monotonic() < self._written_at.get(name, -inf) + RECORD_SECONDS:
            return
        self._due.set()
        with self._lock:
            self._used.add(name)
        self._thread.wake()

    def _run(self) -> None:
        """Go on as long as the cache has a token."""
        while hashes := self._valid.keys():
            with suppress(Failure):  # While the database is down, the requests report it.
                self._write()
                self._drop_revoked(hashes)
            self._due.wait(cache.FRESH_SECONDS)
            self._due.clear()
            sleep(BATCH_SECONDS)

    def _write(self) -> None:
        now = monotonic()
        with self._lock:
            due = {name for name in self._used if now >= self._written_at.get(name, -inf) + RECORD_SECONDS}
            self._used -= due
            self._written_at = {name: at for name, at in self._written_at.items() if now < at + RECORD_SECONDS}
            self._written_at |= dict.fromkeys(due, now)
        if due:
            self._database.run(partial(_use, names=due))

    def _drop_revoked(self, hashes: Collection[Hashable]) -> None:
        query = select(_TOKENS.hash).where(_TOKENS.hash.in_(hashes), _TOKENS.revoked_at.is_(None))
        valid = self._database.run(lambda connection: set(connection.execute(query).scalars()))
        for hashed in {*hashes} - valid:
            self._valid.forget(hashed)


def _token(name: str, user: str, *times: datetime | None) -> Token:
    """Return a token with its times in UTC; SQLite stores UTC without a time zone."""
    return Token(name, user, *(at and (at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)) for at in times))  # type: ignore[arg-type]  # created_at is not null


def _hash(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def _revoke(connection: Connection, name: str) -> str | None:
    """Mark a token as revoked; return its hash, or None if there is no valid token with this id."""
    row = update(tables.tokens).where(_TOKENS.id == name, _TOKENS.revoked_at.is_(None)).values(revoked_at=func.now())
    return connection.execute(row.returning(_TOKENS.hash)).scalar()


def _use(connection: Connection, names: Collection[str]) -> None:
    connection.execute(update(tables.tokens).where(_TOKENS.id.in_(names)).values(last_used_at=func.now()))
