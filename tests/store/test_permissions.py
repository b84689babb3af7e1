"""SQLite files of another owner, as far as the tests have another: used as far as they are open, else told by name."""

import os
import re
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from app.store import Store
from tests.processes import ROOT
from tests.store import stranger
from tests.store.stores import settings

OTHER = 2001
"""The id of a user who has nothing but these files."""
SHARED = 3001
"""The id of a group that the other user and we are in, beside groups of our own."""
IS_ROOT = os.geteuid() == 0


@pytest.fixture
def database() -> Iterator[Path]:
    """A database in which somebody has a key, in a folder of a group."""
    with TemporaryDirectory(prefix="sluice-") as name:
        path = Path(name) / "shared" / "sluice.db"
        path.parent.mkdir(0o775)
        store = Store(settings(f"sqlite:///{path}"))
        store.profiles.set("ada", "groq_api_key", "one")
        store.tokens.create("ada")
        store.database.close()
        yield path


def give(database: Path, folder: int, mode: int, **others: int) -> str:
    """Give all of a database to the other user, with these modes; return its URL."""
    for path in (database.parent, *database.parent.iterdir()):
        suffix = path.name.rpartition(".")[2]
        path.chmod(folder if path.is_dir() else others.get(suffix, mode))
        if IS_ROOT:
            os.chown(path, OTHER, os.getegid())
    return f"sqlite:///{database}"


def test_a_group_that_may_write_can_use_a_foreign_database(database: Path) -> None:
    url = give(database, 0o775, 0o660)
    for _ in range(2):
        assert stranger.run(url) == (["None", "True", "one", "written"], "")
        assert database.stat().st_mode & 0o777 == 0o660, "or the owner's next start would shut the group out"


def test_a_lock_that_only_the_owner_may_open_is_skipped(database: Path) -> None:
    url = give(database, 0o775, 0o660, lock=0o600 if IS_ROOT else 0o660)
    assert stranger.run(url) == (["None", "True", "one", "written"], "")


def test_an_unreadable_vault_key_locks_settings_only(database: Path) -> None:
    url = give(database, 0o775, 0o660, key=0o600 if IS_ROOT else 0o000)
    said, log = stranger.run(url)
    assert said == ["None", "True", "vault_locked", "vault_locked"]
    assert log == f"The vault's key cannot be read: user {os.geteuid()} may not read {database}.key.\n"


@pytest.mark.parametrize(("folder", "mode"), [(0o775, 0o600), (0o755, 0o660)], ids=["file", "folder"])
def test_what_is_closed_is_named_with_what_to_do(database: Path, folder: int, mode: int) -> None:
    url = give(database, folder if IS_ROOT else folder & 0o555, mode if IS_ROOT else mode & 0o060)
    said, _ = stranger.run(url)
    what = rf"{re.escape(str(database))}|make files in {re.escape(str(database.parent))}"
    assert re.search(rf"db_unavailable: user {os.geteuid()} may not .*({what}), which is user \d+'s ", said[-1])
    assert said[-1].endswith(recipe("GROUP", database.parent))


def test_users_of_two_primary_groups_share_a_database(database: Path) -> None:
    """README's commands let both in, also to the files that SQLite makes while one of them serves."""
    assert recipe("GROUP", "FOLDER") in (ROOT / "README.md").read_text()
    url = give(database, 0o755, 0o600)
    subprocess.run(["/bin/sh", "-c", recipe(SHARED if IS_ROOT else os.getegid(), database.parent)], check=True)
    with served_by_the_other(database):
        assert Path(f"{database}-shm").exists()
        assert stranger.run(url, SHARED) == (["None", "True", "one", "written"], "")


def recipe(group: object, folder: object) -> str:
    return f"chgrp -R {group} {folder}; chmod -R g+rwX {folder}; chmod g+s {folder}"


@contextmanager
def served_by_the_other(database: Path) -> Iterator[None]:
    """Have the database in use by the other user, whose primary group nobody else is in."""
    with ExitStack() as stack:
        if IS_ROOT:
            database.parent.parent.chmod(0o755)
            stack.callback(os.setgroups, os.getgroups())
            stack.callback(os.setegid, os.getegid())
            os.setgroups([SHARED])
            os.setegid(OTHER)
            os.seteuid(OTHER)
            stack.callback(os.seteuid, 0)
        serving = sqlite3.connect(database)
        serving.execute("SELECT count(*) FROM tokens").fetchone()
        stack.close()
        with closing(serving):
            yield
