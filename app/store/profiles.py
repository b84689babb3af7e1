"""Profiles: what each user has set."""

from sqlalchemy import Connection, delete, func, insert, select, update

from app.store import tables


def settings(connection: Connection, user: str) -> dict[str, str]:
    """Return a user's settings by name."""
    query = select(tables.settings.c.name, tables.settings.c.value).where(tables.settings.c.user_id == user)
    return {name: value for name, value in connection.execute(query)}  # noqa: C416 - a row is not a pair to mypy


def set_(connection: Connection, user: str, name: str, value: str) -> None:
    """Set one of a user's settings."""
    if connection.execute(select(tables.profiles).where(tables.profiles.c.user_id == user)).first() is None:
        connection.execute(insert(tables.profiles).values(user_id=user))
    row = (tables.settings.c.user_id == user) & (tables.settings.c.name == name)
    changed = connection.execute(update(tables.settings).where(row).values(value=value, updated_at=func.now()))
    if not changed.rowcount:
        connection.execute(insert(tables.settings).values(user_id=user, name=name, value=value))


def unset(connection: Connection, user: str, name: str) -> bool:
    """Remove one of a user's settings; tell whether it was there."""
    row = (tables.settings.c.user_id == user) & (tables.settings.c.name == name)
    return bool(connection.execute(delete(tables.settings).where(row)).rowcount)
