"""The store under test, on each kind of database."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from app.store import Store, cache, database, tokens
from tests.store.stores import FIRST, KEY_OF, Clock, OpenStore, settings


@contextmanager
def opener(url: str) -> Iterator[OpenStore]:
    """Yield what opens a database as one more process would; at the end, nothing of it is left open or running."""
    others = set(threading.enumerate())
    with ExitStack() as stack:

        def open_one(*keys: str) -> Store:
            store = Store(settings(url, *(keys or (FIRST,))), KEY_OF)
            stack.callback(store.database.close)
            return store

        yield open_one
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cache, "STALE_SECONDS", 0)  # which ends what goes on beside the requests
            for thread in set(threading.enumerate()) - others:
                thread.join(5)


@pytest.fixture
def open_store(database_url: str) -> Iterator[OpenStore]:
    with opener(database_url) as open_one:
        yield open_one


@pytest.fixture
def open_postgres(postgres_url: str) -> Iterator[OpenStore]:
    with opener(postgres_url) as open_one:
        yield open_one


@pytest.fixture
def store(open_store: OpenStore) -> Store:
    return open_store()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Time that passes when the test says so, for the memory of what was read, and of what could not be."""
    clock = Clock()
    for module in (cache, database):
        monkeypatch.setattr(module, "monotonic", clock)
    return clock


@pytest.fixture
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what is done beside the requests be done every fifth of a second."""
    monkeypatch.setattr(tokens, "RECORD_SECONDS", 0.2)
    monkeypatch.setattr(tokens, "BATCH_SECONDS", 0.05)
    monkeypatch.setattr(cache, "FRESH_SECONDS", 0.2)
