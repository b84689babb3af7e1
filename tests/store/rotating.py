"""`flask vault rotate` in many small steps, so that it can be killed between two."""

import sys

from flask.cli import main

from app.store import profiles

profiles.BATCH = 4
sys.argv[1:] = ["--app", "wsgi", "vault", "rotate"]
main()
