"""A key set in processes of their own: one that forks, before and within a fetch, and one that serves greenlets."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.login.identity import Identity
from tests.login.test_jwks_download import SLOW
from tests.processes import ROOT, wait_for


@contextmanager
def running(script: str, url: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", script, url]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


FORK = """
import os, sys
from app.login.jwks import Keys
keys = Keys(sys.argv[1])
children = []
for _ in range(2):
    child = os.fork()
    if not child:
        os._exit(0 if keys.find("first", "RS256") else 1)
    children.append(child)
print([os.waitpid(child, 0)[1] for child in children])
"""


def test_a_cache_made_before_a_fork_is_filled_after_it(identity: Identity) -> None:
    with running(FORK, identity.url) as process:
        assert line(process) == "[0, 0]"
    assert len(identity.requests) == 2


FORK_WITHIN = """
import os, sys, threading
from app.login import jwks
keys = jwks.Keys(sys.argv[1], pace=jwks.Pace(deadline=3, retry=0))
fetching = threading.Thread(target=keys.find, args=("first", "RS256"))
fetching.start()
sys.stdin.readline()
child = os.fork()
if not child:
    try:
        keys.find("first", "RS256")
    except jwks.Failure as failure:
        assert failure.status == 503
    os._exit(0 if keys.find("first", "RS256") else 1)
print("forked", flush=True)
print(os.waitpid(child, 0)[1])
fetching.join()
"""


def test_a_fork_within_a_fetch_does_no_harm(identity: Identity) -> None:
    identity.reply = identity.held(go_on := threading.Event())
    with running(FORK_WITHIN, identity.url) as process:
        wait_for(lambda: identity.requests)
        assert process.stdin
        process.stdin.write("fork now\n")
        process.stdin.flush()
        assert line(process) == "forked"
        go_on.set()
        assert line(process) == "0"
    assert len(identity.requests) == 2


GREENLETS = """
from gevent import monkey
monkey.patch_all()
import sys
import gevent
from app.login.jwks import Keys, Pace
keys = Keys(sys.argv[1], pace=Pace(deadline=60))
logins = [gevent.spawn(keys.find, "first", "RS256") for _ in range(50)]
for _ in range(20):
    gevent.sleep(0.001)
print("the loop goes on", not any(login.ready() for login in logins), flush=True)
gevent.joinall(logins, raise_error=True)
print(all(login.value for login in logins))
"""


def test_greenlets_wait_together_and_the_loop_goes_on(identity: Identity) -> None:
    identity.reply = identity.held(go_on := threading.Event())
    with running(GREENLETS, identity.url) as process:
        assert line(process) == "the loop goes on True"
        go_on.set()
        assert line(process) == "True"
    assert len(identity.requests) == 1


GIVEN_UP = """
from gevent import monkey
monkey.patch_all()
import sys, threading
import gevent
from app.login import jwks
try:
    jwks.Keys(sys.argv[1], pace=jwks.Pace(deadline=0.5)).find("first", "RS256")
except jwks.Failure as failure:
    print(failure.status)
while any(thread.name.endswith("(_run)") for thread in threading.enumerate()):
    gevent.sleep(0.01)
print("over")
"""


def test_a_greenlet_too_gives_a_slow_provider_up(identity: Identity) -> None:
    identity.reply = SLOW["headers"]()
    with running(GIVEN_UP, identity.url) as process:
        assert line(process) == "503"
        assert line(process) == "over"
