"""Profiles: the settings of each user, encrypted."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, bindparam, delete, func, insert, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from ..failure import Failure
from . import tables
from .cache import Cache
from .database import Database

T = TypeVar("T")

MAX_USER_CHARACTERS = 200
BATCH = 500
"""How many rows one transaction reads."""

_UPSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_SETTINGS = tables.settings.c
_SETTINGS_OF_USER = (
    select(_SETTINGS.name, _SETTINGS.value)
    .select_from(tables.profiles.outerjoin(tables.settings))
    .where(tables.profiles.c.user_id == bindparam("user"))
)


def is_user_id(user: str) -> bool:
    """Tell whether a text can be a user's id: printable, without a space at its ends (which only a host may give)."""
    return user.isprintable() and user == user.strip() and 0 < len(user) <= MAX_USER_CHARACTERS


class Rotated(NamedTuple):
    """Counts of a key rotation: values re-encrypted now, values already current, values that no key decrypts."""

    renewed: int
    current: int
    locked: int


class Values(Mapping[str, str]):
    """The values of a user's settings by name, each decrypted at its first use."""

    def __init__(self, sealed: Mapping[str, str], unseal: Callable[[str, str], str]) -> None:
        """Take the encrypted values, and a function that decrypts one, given its name and itself."""
        self._sealed = sealed
        self._unseal = unseal
        self._values: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        """Return a value. Raises `Failure` 503 if the vault cannot decrypt it."""
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
        return f"Values({sorted(self._sealed)})"


class Profiles:
    """The profiles of all users. Raises `Failure` 503 while the database cannot be used.

    A key is never sent to another endpoint than the one it was set for: changing or removing an endpoint removes its
    key. Otherwise an attacker with a stolen session could have the key sent to another host. This is decided in the
    transaction that writes, and the transactions of one user run one after the other.
    """

    def __init__(self, database: Database, key_of: Mapping[str, str]) -> None:
        """Take the database with its vault, and the name of the key for the name of each endpoint."""
        self._database = database
        self._key_of = key_of
        self._vault = database.vault
        self._cache: Cache[Values | None] = Cache(database)

    def settings(self, user: str) -> Mapping[str, str]:
        """Return the settings of a user; empty without a profile."""
        found = self._cache.get(user, partial(self._read, user))
        return MappingProxyType({}) if found is None else found

    def welcome(self, user: str) -> None:
        """Make a profile for a user who has none yet."""
        if not self._cache.knows(user) and self._cache.get(user, partial(self._read, user)) is None:
            self._database.run(partial(_make, user=user))
            self._cache.forget(user)

    def set(self, user: str, name: str, value: str) -> frozenset[str]:
        """Set one setting, and make the profile if there is none; return the names of the settings it removed."""
        return self._write(user, partial(self._set, user=user, name=name, value=value))

    def add(self, user: str, settings: Mapping[str, str]) -> int:
        """Add the settings that the user's profile does not have yet; return how many were added.

        An endpoint and its key stay together: neither is added if the profile has a different endpoint or key already.
        """
        return self._write(user, partial(self._add, user=user, settings=settings))

    def unset(self, user: str, name: str) -> frozenset[str]:
        """Remove a setting, and with an endpoint its key; return the names of the settings that were removed."""
        return self._write(user, partial(self._unset, user=user, name=name))

    def rotate(self) -> Rotated:
        """Re-encrypt with the vault's first key all values that another key encrypted.

        It may be interrupted and repeated at any time, and users may change their settings meanwhile: a value is
        replaced only if it has not changed since it was read.
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

    def _write(self, user: str, work: Callable[[Connection], T]) -> T:
        """Run a transaction that changes a profile, and drop the profile from the cache."""
        result = self._database.run(work)
        self._cache.forget(user)
        return result

    def _rows(self) -> Iterator[tuple[str, str, str]]:
        last = ("", "")
        while rows := self._database.run(partial(_page, after=last)):
            yield from rows
            last = rows[-1][:2]

    def _set(self, connection: Connection, user: str, name: str, value: str) -> frozenset[str]:
        _make(connection, user)
        _lock(connection, user)
        is_same = name not in self._key_of or self._is_stored(connection, user, name, value)
        removed = frozenset[str]() if is_same else _remove(connection, user, self._key_of[name])
        row = _UPSERTS[connection.dialect.name](tables.settings).values(self._row(user, name, value))
        changed = {"value": row.excluded.value, "updated_at": func.now()}
        connection.execute(row.on_conflict_do_update(index_elements=["user_id", "name"], set_=changed))
        return removed

    def _add(self, connection: Connection, user: str, settings: Mapping[str, str]) -> int:
        _make(connection, user)
        _lock(connection, user)
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
        _lock(connection, user)
        removed = _remove(connection, user, name)
        return removed | _remove(connection, user, self._key_of[name]) if removed & self._key_of.keys() else removed

    def _is_stored(self, connection: Connection, user: str, name: str, value: str | None) -> bool:
        """Tell whether a setting has this value, or with None, no value. A value that cannot be decrypted differs."""
        row = (_SETTINGS.user_id == user) & (_SETTINGS.name == name)
        sealed = connection.execute(select(_SETTINGS.value).where(row)).scalar()
        if sealed is None or value is None:
            return sealed is value
        return self._vault.fits(user, name, sealed) and self._vault.open(user, name, sealed) == value

    def _row(self, user: str, name: str, value: str) -> dict[str, str]:
        return {"user_id": user, "name": name, "value": self._vault.seal(user, name, value)}

    def _read(self, user: str) -> Values | None:
        rows = self._database.run(partial(_settings, user=user))
        return None if rows is None else Values(rows, partial(self._vault.open, user))


def _settings(connection: Connection, user: str) -> dict[str, str] | None:
    """Return a user's encrypted settings by name; None without a profile."""
    rows = connection.execute(_SETTINGS_OF_USER, {"user": user}).all()
    return {name: value for name, value in rows if name is not None} if rows else None


def _make(connection: Connection, user: str) -> None:
    """Make a profile if there is none; several processes may do so at once."""
    row = _UPSERTS[connection.dialect.name](tables.profiles).values(user_id=user)
    connection.execute(row.on_conflict_do_nothing())


def _lock(connection: Connection, user: str) -> None:
    """Lock a profile until the transaction ends, against other writers; SQLite has one writer at a time anyway."""
    row = select(tables.profiles.c.user_id).where(tables.profiles.c.user_id == user)
    connection.execute(row.with_for_update(key_share=True))  # making a token for the user does not have to wait


def _remove(connection: Connection, user: str, name: str) -> frozenset[str]:
    row = (_SETTINGS.user_id == user) & (_SETTINGS.name == name)
    return frozenset(connection.execute(delete(tables.settings).where(row).returning(_SETTINGS.name)).scalars())


def _page(connection: Connection, after: tuple[str, str]) -> list[tuple[str, str, str]]:
    """Return the next `BATCH` rows, in the order of user and name."""
    key = tuple_(_SETTINGS.user_id, _SETTINGS.name)
    query = select(_SETTINGS.user_id, _SETTINGS.name, _SETTINGS.value).where(key > after).order_by(*key.clauses)
    return [(user, name, value) for user, name, value in connection.execute(query.limit(BATCH))]


def _replace(connection: Connection, user: str, name: str, old: str, new: str) -> int:
    row = (_SETTINGS.user_id == user) & (_SETTINGS.name == name) & (_SETTINGS.value == old)
    return connection.execute(update(tables.settings).where(row).values(value=new)).rowcount
