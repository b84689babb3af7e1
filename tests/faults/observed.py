"""`wsgi:app`, and beside it what the suite wants to know of the worker's inside.

Also the one fault that no socket can play: a name whose look-up takes longer than anybody waits.
"""

import gc
import json
import socket
from collections.abc import Callable, Iterable
from typing import Any

import gevent
from gevent.monkey import get_original

from tests.faults import STALL_SECONDS, STALLED
from wsgi import app

_resolve = socket.getaddrinfo
_serve = app.wsgi_app


def _observe(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Tell how many greenlets live and how many chats run; leave all else to the application.

    Of all objects only those are looked through that were made since somebody last asked to `freeze` them.
    """
    if environ["PATH_INFO"] != "/observed":
        return _serve(environ, start_response)
    if environ["QUERY_STRING"] == "freeze":
        gc.collect()
        gc.freeze()
    greenlets = sum(issubclass(type(found), gevent.Greenlet) and not found.dead for found in gc.get_objects())
    chats = len(app.extensions["streams"]._running)  # noqa: SLF001 - there is no public question for it
    start_response("200 OK", [("Content-Type", "application/json"), ("Connection", "close")])
    return [json.dumps({"greenlets": greenlets, "chats": chats}).encode()]


def _resolve_late(host: Any, *others: Any, **more: Any) -> Any:  # noqa: ANN401
    """Block the resolver's thread for one name, as the system's resolver does when no name server answers."""
    if host == STALLED:
        gevent.get_hub().threadpool.apply(get_original("time", "sleep"), (STALL_SECONDS,))
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    return _resolve(host, *others, **more)


app.wsgi_app = _observe  # type: ignore[method-assign]
socket.getaddrinfo = _resolve_late
