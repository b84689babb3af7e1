"""gunicorn's configuration for `sluice serve`, which names it as `python:sluice.gunicorn`.

gevent patches before anything else is imported: a socket or a TLS context made earlier would block every stream.
"""

from gevent import monkey

monkey.patch_all()

from .server import *
