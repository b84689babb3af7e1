"""Two processes that write to the same profiles at the same moments: one sets keys, the other their endpoints.

Run as a program it is their parent: DATABASE_URL and VAULT_KEYS say where. It ends well if no key was sent to an
endpoint that came after it.
"""

import os
import subprocess
import sys
from functools import partial

from app import config
from app.store import Store
from tests.processes import ROOT, environment_without
from tests.store.stores import ENDPOINT, KEY, KEY_OF, names, patiently

ROUNDS = 30


def run(url: str, keys: str) -> tuple[int, str]:
    """Run the program below; return its status, and what it says of a failure."""
    environment = environment_without({"DATABASE_URL": url, "VAULT_KEYS": keys})
    command = [sys.executable, "-m", __name__]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def main() -> None:
    """Start both, and end well if both do."""
    store = Store(config.read(os.environ), KEY_OF)
    store.database.prepare()
    store.database.close()
    ready = [os.pipe() for _ in range(2)]
    children = [pid for number in range(2) if (pid := fork(store, number, ready))]
    statuses = [os.waitpid(pid, 0)[1] for pid in children]
    sys.exit(any(statuses))


def fork(store: Store, number: int, ready: list[tuple[int, int]]) -> int:
    pid = os.fork()
    if not pid:
        for turn in range(ROUNDS):
            os.write(ready[number][1], b".")
            os.read(ready[1 - number][0], 1)
            (set_key, set_endpoint)[number](store, f"user-{turn}")
        os._exit(0)
    return pid


def set_key(store: Store, user: str) -> None:
    """Set a key, and look whether there is an endpoint yet: if there is none, the key may not outlive its coming."""
    patiently(partial(store.profiles.set, user, KEY, "key"))
    was_first = ENDPOINT not in names(store, user)
    while ENDPOINT not in names(store, user):
        pass
    assert not was_first or KEY not in names(store, user)


def set_endpoint(store: Store, user: str) -> None:
    patiently(partial(store.profiles.set, user, ENDPOINT, "https://one"))


if __name__ == "__main__":
    main()
