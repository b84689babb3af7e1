"""Profiles: what each user has set, encrypted."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, insert, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from ..failure import Failure
from . import tables
from .database import Database
from .remembered import Remembered

MAX_USER_CHARACTERS = 200
BATCH = 500
"""How many rows are looked through in one transaction."""

_UPSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_SETTINGS = tables.settings.c
_SETTINGS_OF_USER = (
    select(_SETTINGS.name, _SETTINGS.value)
    .select_from(tables.profiles.outerjoin(tables.settings))
    .where(tables.profiles.c.user_id == bindparam("user"))
)


class Rotated(NamedTuple):
    """How many values were encrypted anew, had been before, and could not be decrypted."""

    renewed: int
    current: int
    locked: int


class Settings(Mapping[str, str]):
    """A user's settings by name, each of them decrypted when it is first looked at."""

    def __init__(self, sealed: Mapping[str, str], unseal: Callable[[str, str], str]) -> None:
        """Take the encrypted values, and what decrypts one of them for its name."""
        self._sealed = sealed
        self._unseal = unseal
        self._values: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        """Return a setting's value. Raises `Failure` 503 where the vault cannot decrypt it."""
        if name not in self._values:
            self._values[name] = self._unseal(name, self._sealed[name])
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        """Tell whether a setting is set, without decrypting it."""
        return name in self._sealed

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._sealed)

    def __len__(self) -> int:
        """Count the settings."""
        return len(self._sealed)

    def __repr__(self) -> str:
        """Show the names alone."""
        return f"Settings({sorted(self._sealed)})"


class Profiles:
    """All users' profiles. Raises `Failure` 503 where the database cannot be used.

    A key is sent to no endpoint but the one it was set for: setting or removing an endpoint removes the key that is
    there, unless the endpoint stays the same. Otherwise whoever took over a session could have the key sent to a host
    of their own. That is decided in the transaction that writes; those of one user take turns.
    """

    def __init__(self, database: Database, key_of: Mapping[str, str]) -> None:
        """Take the database, whose vault encrypts what it keeps, and the names of the keys by their endpoints'."""
        self._database = database
        self._key_of = key_of
        self._vault = database.vault
        self._remembered: Remembered[Settings | None] = Remembered(database)

    def settings(self, user: str) -> Mapping[str, str]:
        """Return the settings of a user, empty if there is no such profile."""
        found = self._remembered.get(user, partial(self._read, user))
        return MappingProxyType({}) if found is None else found

    def welcome(self, user: str) -> None:
        """Make a profile for a user who has none: one who was let in for the first time."""
        if not self._remembered.knows(user) and self._remembered.get(user, partial(self._read, user)) is None:
            self._database.run(partial(_make, user=user))
            self._remembered.forget(user)

    def set(self, user: str, name: str, value: str) -> frozenset[str]:
        """Set one setting in a user's profile, which is made if there is none; return the names of those removed."""
        self._database.prepare()
        removed = self._database.run(partial(self._set, user=user, name=name, value=value))
        self._remembered.forget(user)
        return removed

    def add(self, user: str, settings: Mapping[str, str]) -> int:
        """Add those settings that a user's profile does not have yet; return how many those were.

        An endpoint and its key stay together: neither is added beside another one that is there.
        """
        self._database.prepare()
        added = self._database.run(partial(self._add, user=user, settings=settings))
        self._remembered.forget(user)
        return added

    def unset(self, user: str, name: str) -> frozenset[str]:
        """Remove a setting; return the names of those removed, none if it was not set."""
        removed = self._database.run(partial(self._unset, user=user, name=name))
        self._remembered.forget(user)
        return removed

    def rotate(self) -> Rotated:
        """Encrypt with the vault's first key whatever is not.

        It may be stopped and begun again at any time, and users may change their settings meanwhile: a value is only
        replaced if it is still the one that was read.
        """
        renewed = current = locked = 0
        for user, name, sealed in self._rows():
            if self._vault.is_current(sealed):
                current += 1
                continue
            try:
                again = self._vault.seal(user, name, self._vault.open(user, name, sealed))
            except Failure:
                locked += 1
                continue
            renewed += self._database.run(partial(_replace, user=user, name=name, old=sealed, new=again))
        return Rotated(renewed, current, locked)

    def count_locked(self) -> int:
        """Count the settings that the vault cannot decrypt."""
        return sum(not self._vault.fits(user, name, sealed) for user, name, sealed in self._rows())

    def _rows(self) -> Iterator[tuple[str, str, str]]:
        last = ("", "")
        while rows := self._database.run(partial(_page, after=last)):
            yield from rows
            last = rows[-1][:2]

    def _set(self, connection: Connection, user: str, name: str, value: str) -> frozenset[str]:
        _make(connection, user)
        _take_turn(connection, user)
        is_same = name not in self._key_of or self._is_stored(connection, user, name, value)
        removed = frozenset[str]() if is_same else _remove(connection, user, self._key_of[name])
        row = _UPSERTS[connection.dialect.name](tables.settings).values(self._row(user, name, value))
        changed = {"value": row.excluded.value, "updated_at": func.now()}
        connection.execute(row.on_conflict_do_update(index_elements=["user_id", "name"], set_=changed))
        return removed

    def _add(self, connection: Connection, user: str, settings: Mapping[str, str]) -> int:
        _make(connection, user)
        _take_turn(connection, user)
        here = _settings(connection, user) or {}
        new = {name: value for name, value in settings.items() if name not in here}
        for endpoint, key in self._key_of.items():
            is_free = not here.keys() & {endpoint, key}
            if not is_free and not self._is_stored(connection, user, endpoint, settings.get(endpoint)):
                new = {name: value for name, value in new.items() if name not in (endpoint, key)}
        for name, value in new.items():
            connection.execute(insert(tables.settings).values(self._row(user, name, value)))
        return len(new)

    def _unset(self, connection: Connection, user: str, name: str) -> frozenset[str]:
        _take_turn(connection, user)
        removed = _remove(connection, user, name)
        return removed | _remove(connection, user, self._key_of[name]) if removed & self._key_of.keys() else removed

    def _is_stored(self, connection: Connection, user: str, name: str, value: str | None) -> bool:
        """Tell whether this is a setting's value, None if it has none; one that cannot be decrypted is another."""
        row = (_SETTINGS.user_id == user) & (_SETTINGS.name == name)
        sealed = connection.execute(select(_SETTINGS.value).where(row)).scalar()
        if sealed is None or value is None:
            return sealed is value
        return self._vault.fits(user, name, sealed) and self._vault.open(user, name, sealed) == value

    def _row(self, user: str, name: str, value: str) -> dict[str, str]:
        return {"user_id": user, "name": name, "value": self._vault.seal(user, name, value)}

    def _read(self, user: str) -> Settings | None:
        rows = self._database.run(partial(_settings, user=user))
        return None if rows is None else Settings(rows, partial(self._vault.open, user))


def _settings(connection: Connection, user: str) -> dict[str, str] | None:
    """Return a user's encrypted settings by name, None if there is no such profile."""
    rows = connection.execute(_SETTINGS_OF_USER, {"user": user}).all()
    return {name: value for name, value in rows if name is not None} if rows else None


def _make(connection: Connection, user: str) -> None:
    """Make a profile; two processes may do so at once."""
    row = _UPSERTS[connection.dialect.name](tables.profiles).values(user_id=user)
    connection.execute(row.on_conflict_do_nothing())


def _take_turn(connection: Connection, user: str) -> None:
    """Have whoever else writes to a profile wait until this transaction ends; SQLite has one writer at a time."""
    row = select(tables.profiles.c.user_id).where(tables.profiles.c.user_id == user)
    connection.execute(row.with_for_update(key_share=True))  # not whoever makes a token for the user


def _remove(connection: Connection, user: str, name: str) -> frozenset[str]:
    row = (_SETTINGS.user_id == user) & (_SETTINGS.name == name)
    return frozenset(connection.execute(delete(tables.settings).where(row).returning(_SETTINGS.name)).scalars())


def _page(connection: Connection, after: tuple[str, str]) -> list[tuple[str, str, str]]:
    """Return the next rows in the order of their keys."""
    key = tuple_(_SETTINGS.user_id, _SETTINGS.name)
    query = select(_SETTINGS.user_id, _SETTINGS.name, _SETTINGS.value).where(key > after).order_by(*key.clauses)
    return [(user, name, value) for user, name, value in connection.execute(query.limit(BATCH))]


def _replace(connection: Connection, user: str, name: str, old: str, new: str) -> int:
    row = (_SETTINGS.user_id == user) & (_SETTINGS.name == name) & (_SETTINGS.value == old)
    return connection.execute(update(tables.settings).where(row).values(value=new)).rowcount
