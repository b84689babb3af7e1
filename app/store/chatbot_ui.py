"""The profiles of an existing chatbot-ui (https://github.com/mckaywrigley/chatbot-ui, `supabase/migrations`)."""

from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, column, create_engine, inspect, make_url, select, table
from sqlalchemy.exc import ArgumentError, NoSuchTableError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from ..config import with_driver

BATCH = 500


class SourceError(Exception):
    """The database cannot be read; the message is a sentence."""


def read(url: str, names: Collection[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the user id of each profile, with the named settings that it has. Raises `SourceError`."""
    try:
        with _connect(url) as connection:
            query, wanted = _query(connection, names)
            for row in connection.execution_options(yield_per=BATCH).execute(query):
                yield str(row[0]), {name: value for name, value in zip(wanted, row[1:], strict=True) if value}
    except NoSuchTableError as error:
        raise SourceError("This database has no table `profiles`.") from error
    except (ArgumentError, ModuleNotFoundError, ValueError):  # the message may have a part of a password
        raise SourceError("This is not the address of a database.") from None
    except SQLAlchemyError as error:
        raise SourceError(f"The database cannot be read ({type(error.__cause__ or error).__name__}).") from error


def _connect(url: str) -> Connection:
    parsed = make_url(with_driver(url))
    if "@" in (parsed.host or ""):  # a part of the password
        raise ArgumentError
    return create_engine(parsed, hide_parameters=True, poolclass=NullPool).connect()


def _query(connection: Connection, names: Collection[str]) -> tuple[Select[*tuple[Any, ...]], list[str]]:
    """Return the query for the user id and the named settings that the table has, and the names of these."""
    schema = "public" if connection.dialect.name == "postgresql" else None
    columns = {item["name"] for item in inspect(connection).get_columns("profiles", schema)}
    wanted = sorted(columns & set(names))
    if "user_id" not in columns or not wanted:
        raise SourceError("The table `profiles` of this database is not chatbot-ui's.")
    fields: list[ColumnElement[Any]] = [column(name) for name in ("user_id", *wanted)]
    return select(*fields).select_from(table("profiles", schema=schema)).order_by(column("user_id")), wanted
