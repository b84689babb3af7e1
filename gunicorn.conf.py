"""The server's settings (https://docs.gunicorn.org/en/stable/settings.html); what they put to work is in app/server.

gevent patches before anything else is imported: a socket or a TLS context made earlier would block every stream.
"""

from gevent import monkey

monkey.patch_all()

import gc  # noqa: E402
import os  # noqa: E402
import resource  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
from contextlib import suppress  # noqa: E402


def _end_before_the_start() -> None:
    """End well if told to while the application is loaded: there is no port yet, and so nobody to say goodbye to."""
    for told in (signal.SIGTERM, signal.SIGINT):
        module = getattr(signal.getsignal(told), "__module__", None) or ""
        if not module.startswith("gunicorn"):  # whose handlers are there when this file is read again
            signal.signal(told, lambda *_: os._exit(0))


_end_before_the_start()

from app.server import answers, parser  # noqa: E402
from app.server.drain import post_fork as post_fork  # noqa: E402, PLC0414 - one of gunicorn's hooks
from app.server.drain import post_worker_init as post_worker_init  # noqa: E402, PLC0414 - another
from app.server.log import Logger  # noqa: E402
from app.server.settings import SETTINGS  # noqa: E402
from app.server.worker import Worker  # noqa: E402


def _raise_descriptor_limit() -> None:
    """Open as many descriptors as the system allows: a chat takes two, and many systems begin with 1,024 in all."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # "unlimited" is refused in some places
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _open_standard_streams() -> None:
    """Put nothing in the place of a standard stream that is closed, before a client's socket gets its number."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004
        pass
    os.close(fd)


_open_standard_streams()
_raise_descriptor_limit()
answers.install()
parser.install()
gc.freeze()  # What was imported is for all processes: they share its memory, and end without taking it apart.

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
