"""Tokens: what programs and pages show in place of a login. Only their SHA-256 is kept."""

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
from . import remembered, tables
from .database import Database
from .profiles import Profiles
from .remembered import Remembered

PREFIX = "sluice_"
RECORD_SECONDS = 60
"""How often a token's last use is written down."""
BATCH_SECONDS = 0.5
"""How long uses are gathered before they are written."""

_SHAPE = re.compile(PREFIX + r"[A-Za-z0-9_-]{43}", re.ASCII)
_TOKENS = tables.tokens.c
_KNOWN = select(_TOKENS.hash, _TOKENS.id, _TOKENS.user_id).where(
    _TOKENS.hash == bindparam("hash"), _TOKENS.revoked_at.is_(None)
)
_ANY = select(_TOKENS.id).limit(1)


class Token(NamedTuple):
    """A token as it is kept: by a name of its own, because it is not known any more."""

    id: str
    user: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class _Known(NamedTuple):
    id: str
    user: str


class Tokens:
    """All tokens. Raises `Failure` 503 where the database cannot be used."""

    def __init__(self, database: Database, profiles: Profiles) -> None:
        """Take the database, and the profiles of those whom the tokens are for."""
        self._database = database
        self._profiles = profiles
        self._remembered: Remembered[_Known] = Remembered(database)
        self._existence: Remembered[bool] = Remembered(database)
        self._uses = _Uses(database, self._remembered)

    def create(self, user: str) -> tuple[str, str]:
        """Make a token of 256 random bits for a user; return its id, and itself, which is nowhere else from here on."""
        token, name = PREFIX + secrets.token_urlsafe(32), secrets.token_hex(4)
        self._profiles.welcome(user)
        row = insert(tables.tokens).values(id=name, hash=_hash(token), user_id=user)
        self._database.run(lambda connection: connection.execute(row))
        self._existence.forget(None)
        return name, token

    def all(self) -> list[Token]:
        """Return all tokens there ever were, the oldest first."""
        columns = (_TOKENS.id, _TOKENS.user_id, _TOKENS.created_at, _TOKENS.last_used_at, _TOKENS.revoked_at)
        query = select(*columns).order_by(_TOKENS.created_at, _TOKENS.id)
        return self._database.run(lambda connection: [_token(*row) for row in connection.execute(query)])

    def revoke(self, name: str) -> bool:
        """End a token, by its id; tell whether there was one to end. It stops working everywhere in `FRESH_SECONDS`."""
        found = self._database.run(partial(_revoke, name=name))
        if found is not None:
            self._remembered.forget(found)
        return found is not None

    def exist(self) -> bool:
        """Tell whether there ever was a token: from then on, nobody is let in without a login."""
        read = partial(self._database.run, lambda connection: connection.execute(_ANY).first() is not None)
        return self._existence.get(None, read)

    def user(self, token: str) -> str | None:
        """Return whose token this is, None if it is none that is valid."""
        if not _SHAPE.fullmatch(token):
            return None
        hashed = _hash(token)
        try:
            known = self._remembered.get(hashed, partial(self._read, hashed))
        except LookupError:
            return None
        self._uses.record(known.id)
        return known.user

    def _read(self, hashed: str) -> _Known:
        """Return whose token has this hash. Raises `LookupError`, so that what is wrong is not remembered."""
        row = self._database.run(lambda connection: connection.execute(_KNOWN, {"hash": hashed}).first())
        if row is None or not hmac.compare_digest(row.hash, hashed):
            raise LookupError
        return _Known(row.id, row.user_id)


class _Uses:
    """What is done beside the requests while tokens are used: last uses are written down, revoked ones forgotten.

    A use is written at once, and then at most every `RECORD_SECONDS`. What is kept for an outage is looked at every
    `FRESH_SECONDS`, so that no token serves in one that was revoked before it.
    """

    def __init__(self, database: Database, remembered: Remembered[_Known]) -> None:
        self._database = database
        self._remembered = remembered
        self._used: set[str] = set()
        self._written_at: dict[str, float] = {}
        self._lock = Lock()
        self._due = Event()
        self._thread = Background(self._run)

    def record(self, name: str) -> None:
        """Note a use, and have it written."""
        if self._thread.is_running and monotonic() < self._written_at.get(name, -inf) + RECORD_SECONDS:
            return
        self._due.set()
        with self._lock:
            self._used.add(name)
        self._thread.wake()

    def _run(self) -> None:
        """Go on as long as anything is kept."""
        while kept := self._remembered.kept():
            with suppress(Failure):  # A database that is down is told of by those who need an answer.
                self._write()
                self._confirm(kept)
            self._due.wait(remembered.FRESH_SECONDS)
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

    def _confirm(self, kept: Collection[Hashable]) -> None:
        """Forget the tokens that are not valid any more."""
        query = select(_TOKENS.hash).where(_TOKENS.hash.in_(kept), _TOKENS.revoked_at.is_(None))
        valid = self._database.run(lambda connection: set(connection.execute(query).scalars()))
        for hashed in {*kept} - valid:
            self._remembered.forget(hashed)


def _token(name: str, user: str, *times: datetime | None) -> Token:
    """Return a token with its times in UTC, as which SQLite keeps them without saying so."""
    return Token(name, user, *(at and (at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)) for at in times))  # type: ignore[arg-type]  # created_at is not null


def _hash(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def _revoke(connection: Connection, name: str) -> str | None:
    """Mark a token as revoked; return its hash, None if there is no such token or it has been."""
    row = update(tables.tokens).where(_TOKENS.id == name, _TOKENS.revoked_at.is_(None)).values(revoked_at=func.now())
    return connection.execute(row.returning(_TOKENS.hash)).scalar()


def _use(connection: Connection, names: Collection[str]) -> None:
    connection.execute(update(tables.tokens).where(_TOKENS.id.in_(names)).values(last_used_at=func.now()))
