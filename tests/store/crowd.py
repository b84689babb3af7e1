"""Ten processes that start at once, as the dynos of a new release do.

Run as a program it is their parent, which has imported everything before it forks: DATABASE_URL and VAULT_KEYS say
where; each process sets a setting of a user of its own, and prints Alembic's log.
"""

import logging
import os
import subprocess
import sys
from functools import partial

from app import config
from app.store import Store
from tests.processes import ROOT, environment_without
from tests.store.stores import patiently

PROCESSES = 10


def start_at_once(url: str, keys: str = "") -> list[str]:
    """Run the program below; return its log's lines. Fails unless every process did its work."""
    command = [sys.executable, "-m", __name__]
    environment = environment_without({"DATABASE_URL": url, "VAULT_KEYS": keys})
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def main() -> None:
    """Start them, let them go all at once, and end well if all of them do."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    store = Store(config.read(os.environ))  # which has made nothing yet, and connected to nothing
    gate, go = os.pipe()
    children = [pid for number in range(PROCESSES) if (pid := fork(store, number, gate, go))]
    os.close(go)
    statuses = [os.waitpid(pid, 0)[1] for pid in children]
    sys.exit(any(statuses))


def fork(store: Store, number: int, gate: int, go: int) -> int:
    pid = os.fork()
    if not pid:
        os.close(go)
        os.read(gate, 1)
        store.database.prepare()
        patiently(partial(store.profiles.set, f"user-{number}", "groq_api_key", f"value-{number}"))
        assert store.profiles.settings(f"user-{number}") == {"groq_api_key": f"value-{number}"}
        logging.shutdown()
        os._exit(0)
    return pid


if __name__ == "__main__":
    main()
