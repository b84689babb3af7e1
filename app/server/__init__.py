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
"""Above MAX_STREAMS, so that one chat too many is told so instead of waiting unaccepted."""
timeout = 60
"""How long the event loop may be stuck before the worker is replaced; no limit for a request."""
keepalive = 95
"""How long an idle connection stays open: longer than Heroku's router keeps it (90 s), so that it is never the router
that sends a request into a closing connection. Elsewhere gunicorn makes this the deadline for a request's headers too,
which is why the worker has one of its own."""
graceful_timeout = 27
"""When the master kills what is left: chats have ended by DRAIN_SECONDS, and the platform kills at 30 s."""
limit_request_fields = 50
limit_request_field_size = 16 * 1024
"""Room for all cookies together: a Supabase session alone may take three."""
forwarder_headers = ""
"""No header changes where the application is mounted; SCRIPT_NAME in the environment does."""
control_socket_disable = True


def on_starting(_server: Any) -> None:
    """Keep what the application is made of out of collections: all processes share its memory until they touch it."""
    gc.freeze()
