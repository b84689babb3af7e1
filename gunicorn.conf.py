"""gunicorn reads this file from the directory that it is started in; the settings are in app/server.

gevent patches before anything else is imported: a socket or a TLS context made earlier would block every stream.
"""

from gevent import monkey

monkey.patch_all()

from app.server import *
