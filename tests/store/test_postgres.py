"""PostgreSQL: by any address that people have of it, over TLS if they say so, with few connections, soon replaced."""

import threading
from collections.abc import Iterator
from functools import partial
from time import monotonic

import pytest
from sqlalchemy import Connection, text

from app.failure import Failure
from app.store import Store, database
from app.store.database import MAX_CONNECTIONS
from tests.machine import slack
from tests.store.stores import BESIDE, FIRST, at_once, query, settings

OTHERS = f"FROM pg_stat_activity WHERE datname = current_database() AND application_name <> '{BESIDE}'"


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    store = Store(settings(postgres_url, FIRST))
    yield store
    store.database.close()


def sleep(connection: Connection, seconds: float) -> None:
    connection.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": seconds})


def refusal(url: str) -> str:
    """Return why a database cannot be used, as the operator is told; it never shows the password."""
    with pytest.raises(Failure) as failure:
        Store(settings(url, FIRST)).database.check()
    assert (failure.value.status, failure.value.code) == (503, "db_unavailable")
    assert "canary" not in repr(failure.value.__cause__)
    return str(failure.value.__cause__)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_its_address_may_be_written_in_every_way(postgres_url: str, scheme: str) -> None:
    store = Store(settings(postgres_url.replace("postgresql", scheme, 1), FIRST))
    store.database.check()
    store.database.close()


def test_what_the_address_says_of_tls_is_done(postgres_url: str) -> None:
    """The server of the tests has no TLS, but for those of `test_postgres_loop`."""
    store = Store(settings(f"{postgres_url}?sslmode=prefer", FIRST))
    store.database.check()
    store.database.close()
    for mode in ("require", "verify-full"):
        assert "does not support SSL" in refusal(f"{postgres_url}?sslmode={mode}")


def test_a_server_that_lets_us_not_in_is_a_503(postgres_url: str) -> None:
    assert "password authentication failed" in refusal(postgres_url.replace("canary", "cannery"))
    assert "does not exist" in refusal(f"{postgres_url}0")
    assert "database.invalid" in refusal(postgres_url.replace("127.0.0.1", "database.invalid"))


def test_more_calls_than_connections_take_turns(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "CONNECT_SECONDS", 60)  # this machine may be slow
    store = Store(settings(postgres_url, FIRST))
    store.database.prepare()
    found: list[int] = []
    together = threading.Barrier(
        MAX_CONNECTIONS, lambda: found.extend(query(postgres_url, f"SELECT count(*) {OTHERS}")[0])
    )

    def meet(_: Connection) -> None:
        together.wait(60)

    at_once(*[partial(store.database.run, meet)] * (3 * MAX_CONNECTIONS))
    assert found == [MAX_CONNECTIONS] * 3
    store.database.close()


def test_a_call_for_which_no_connection_gets_free_gives_up(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (database.MAX_CONNECTIONS, database.CONNECT_SECONDS) == (10, 2)
    monkeypatch.setattr(database, "MAX_CONNECTIONS", 1)
    monkeypatch.setattr(database, "CONNECT_SECONDS", 1)
    store = Store(settings(postgres_url, FIRST))
    store.profiles.welcome("ada")
    held, go_on = threading.Event(), threading.Event()

    def hold(_: Connection) -> None:
        held.set()
        go_on.wait()

    holder = threading.Thread(target=store.database.run, args=(hold,))
    holder.start()
    held.wait()
    begun = monotonic()
    with pytest.raises(Failure) as failure:
        store.database.check()
    assert (failure.value.status, failure.value.code) == (503, "db_unavailable")
    assert 0.9 < monotonic() - begun < 1 + slack()
    go_on.set()
    holder.join()
    store.database.check()
    store.database.close()


def test_connections_that_the_server_ended_are_replaced(store: Store, postgres_url: str) -> None:
    together = threading.Barrier(5)
    at_once(*[partial(store.database.run, lambda _: together.wait(60))] * 5)
    assert query(postgres_url, f"SELECT count(pg_terminate_backend(pid)) {OTHERS}") == [(5,)]
    at_once(*[store.database.check] * 5)


def test_nothing_stays_prepared_at_the_server(store: Store) -> None:
    """A pooler between gives the next transaction to another of the server's processes."""
    for _ in range(20):
        store.profiles.set("ada", "groq_api_key", "one")
    count = "SELECT count(*) FROM pg_prepared_statements"
    assert store.database.run(lambda connection: connection.execute(text(count)).scalar()) == 0
