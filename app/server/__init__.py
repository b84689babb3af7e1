"""gunicorn's settings (https://docs.gunicorn.org/en/stable/settings.html), for a file that patches and imports them.

That file is gunicorn.conf.py here, gunicorn.py for `sluice serve`, and an installed host's own, of the same two lines.
Nothing else imports this package: it changes the process.
"""

from . import process

process.prepare()

import gc
import os
import sys
from typing import Any

from . import answers, parser
from .drain import post_fork, post_worker_init
from .log import Logger
from .settings import SETTINGS
from .worker import Worker

__all__ = [
    "control_socket_disable",
    "forwarder_headers",
    "graceful_timeout",
    "keepalive",
    "limit_request_field_size",
    "limit_request_fields",
    "logger_class",
    "on_starting",
    "post_fork",
    "post_worker_init",
    "preload_app",
    "timeout",
    "worker_class",
    "worker_connections",
]

answers.install()
parser.install()

preload_app = "--reload" not in [*sys.argv, *os.environ.get("GUNICORN_CMD_ARGS", "").split()]
"""The port is opened when the application is loaded and the database migrated, once, in the master: a platform sends
requests as soon as it is open. Workers are forked from there; new code needs a new master, by a restart or SIGUSR2."""
worker_class = Worker
logger_class = Logger
worker_connections = SETTINGS.max_streams + 600
"""Above MAX_STREAMS, so that one chat too many is accepted and then refused, not left in the accept queue."""
timeout = 60
"""How long the event loop may be blocked before the worker is replaced; no limit for a request."""
keepalive = 95
"""The idle timeout of a connection: longer than that of Heroku's router (90 s), so that the router never sends a
request into a closing connection. gunicorn's own workers use it as the timeout for headers too; `Worker` does not."""
graceful_timeout = 27
"""When the master kills the workers that are left in a graceful shutdown: chats have ended after DRAIN_SECONDS, and the
platform kills at 30 s."""
limit_request_fields = 50
limit_request_field_size = 16 * 1024
"""Room for all cookies together: a Supabase session alone may take three."""
forwarder_headers = ""
"""No header sets where the application is mounted; SCRIPT_NAME in the environment does."""
control_socket_disable = True


def on_starting(_server: Any) -> None:
    """Exempt the loaded application from garbage collection: its memory stays shared after a fork (copy-on-write)."""
    gc.freeze()
