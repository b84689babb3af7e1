"""Look up names for twenty users whose names are never found, and then a name that is; print what comes of it."""

import _socket
import socket
import time
from typing import Any

import gevent
from gevent import monkey

from app.upstream.names import Names
from app.wait import find, start_thread, wait_alone

nap, resolve = monkey.get_original("time", "sleep"), _socket.getaddrinfo


def look_up(host: str, *rest: Any, **more: Any) -> Any:  # noqa: ANN401 - the system's own
    """Be the system's resolver, which blocks its thread."""
    if host.startswith("slow"):
        nap(60)
    return resolve("127.0.0.1", *rest, **more)


_socket.getaddrinfo = look_up  # type: ignore[assignment]
theirs = Names(start_thread, find)


def give_up(number: int) -> bool:
    """Tell whether a user's name was given up."""
    try:
        theirs.addresses("slow", 80, time.monotonic() + 0.1, wait_alone, f"user{number}")
    except TimeoutError:
        return True
    return False


print(all(one.value for one in gevent.joinall([gevent.spawn(give_up, number) for number in range(20)])))
until = time.monotonic() + 20
for names, user in ((theirs, "ada"), (Names(), None)):
    print(names.addresses("quick", 80, until, wait_alone, user)[0][1])
print(socket.getaddrinfo("quick", 80)[0][4], time.monotonic() < until)
