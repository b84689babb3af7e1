"""Profiles: what each user has set."""

from typing import Any

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from app.store import tables

_UPSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def settings(connection: Connection, user: str) -> dict[str, str]:
    """Return a user's settings by name."""
    query = select(tables.settings.c.name, tables.settings.c.value).where(tables.settings.c.user_id == user)
    return {name: value for name, value in connection.execute(query)}  # noqa: C416 - a row is not a pair to mypy


def set_(connection: Connection, user: str, name: str, value: str) -> None:
    """Set one of a user's settings.

    Both rows are upserts: two processes may make the same profile at once.
    """
    upsert = _UPSERTS[connection.dialect.name]
    connection.execute(upsert(tables.profiles).values(user_id=user).on_conflict_do_nothing())
    row = upsert(tables.settings).values(user_id=user, name=name, value=value)
    keys = tables.settings.primary_key.columns
    connection.execute(row.on_conflict_do_update(keys, set_={"value": value, "updated_at": func.now()}))


def unset(connection: Connection, user: str, name: str) -> bool:
    """Remove one of a user's settings; tell whether it was there."""
    row = (tables.settings.c.user_id == user) & (tables.settings.c.name == name)
    return bool(connection.execute(delete(tables.settings).where(row)).rowcount)
