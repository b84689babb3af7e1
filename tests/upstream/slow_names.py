"""Look up names that are never found, for twenty users and the operator, and then a name that is; print how it went."""

import _socket
import socket
import time
from typing import Any

import gevent
from gevent import monkey

from app.upstream.names import Names
from app.wait import wait_alone

nap, resolve = monkey.get_original("time", "sleep"), _socket.getaddrinfo


def look_up(host: str, *rest: Any, **more: Any) -> Any:  # noqa: ANN401 - the system's own
    """Be the system's resolver, which blocks its thread."""
    if host.startswith("slow"):
        nap(60)
    return resolve("127.0.0.1", *rest, **more)


_socket.getaddrinfo = look_up  # type: ignore[assignment]
names = Names()


def give_up(number: int, user: str | None) -> bool:
    """Tell whether a name was given up."""
    try:
        names.addresses(f"slow{number}", 80, time.monotonic() + 0.1, wait_alone, user)
    except TimeoutError:
        return True
    return False


asked = [gevent.spawn(give_up, number, user) for number in range(20) for user in (f"user{number}", None)]
print(all(one.value for one in gevent.joinall(asked)))
until = time.monotonic() + 20
for user in ("ada", None):
    print(names.addresses("quick", 80, until, wait_alone, user)[0][1])
print(socket.getaddrinfo("quick", 80)[0][4], time.monotonic() < until)
