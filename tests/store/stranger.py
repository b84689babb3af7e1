"""Somebody who is neither a database's owner nor allowed more than its files say, where the tests run as root.

Run as a program it prints what becomes of reading a profile and of writing it: DATABASE_URL says where.
"""

import logging
import os
import subprocess
import sys
from collections.abc import Callable

from app import config
from app.failure import Failure
from app.store import Store
from tests.processes import ROOT, environment_without

NO_PRIVILEGES = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
"""Makes of root one user among others, to whom files of others are closed."""


def run(url: str, group: int | None = None) -> tuple[list[str], str]:
    """Run the program below, in a group beside its own if one is given; return what it printed, and its log."""
    groups = [f"--groups={group}"] if NO_PRIVILEGES and group else []
    command = [*NO_PRIVILEGES, *groups, sys.executable, "-m", __name__]
    environment = environment_without({"DATABASE_URL": url})
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines(), done.stderr


def outcome(use: Callable[[], object]) -> object:
    try:
        return use()
    except Failure as failure:
        return f"{failure.code}: {failure.__cause__}" if failure.code == "db_unavailable" else failure.code


def main() -> None:
    logging.basicConfig(format="%(message)s")
    store = Store(config.read(os.environ))
    for use in (
        store.database.prepare,
        store.tokens.exist,
        lambda: store.profiles.settings("ada").get("groq_api_key"),
        lambda: store.profiles.set("ada", "mistral_api_key", "two") or "written",
    ):
        sys.stdout.write(f"{outcome(use)}\n")


if __name__ == "__main__":
    main()
