"""Users of a service: their tokens, and what is in their profiles."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from tests import client
from tests.processes import ROOT, Service, environment_without


def token(service: Service, user: str) -> str:
    """Make a token the way that operators do."""
    command = [str(Path(sys.executable).parent / "flask"), "--app", "wsgi", "token", "create", "--user", user]
    environment = environment_without({"DATABASE_URL": f"sqlite:///{service.database}"})
    made = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    return made.stdout.strip()


def profile(service: Service) -> dict[str, Any]:
    """Return what the service tells the user of this machine."""
    return client.ask(service, "/api/profile", None, method="GET").json()
