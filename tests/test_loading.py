"""What is imported when: a command and a mounted application start without what only chats need."""

import subprocess
import sys
from pathlib import Path

from tests.processes import ROOT, environment_without

LATER = {"openai", "redis", "alembic", "limits.storage", "app.commands"}
"""What takes long to import, or much memory, and what it is for may never be wanted."""


def test_an_application_is_made_without_what_it_may_not_need(tmp_path: Path) -> None:
    database = {"DATABASE_URL": f"sqlite:///{tmp_path}/sluice.db"}
    made = loaded(database, "from app import create_app; create_app()")
    assert made & LATER <= {"alembic"}  # which has just made the database
    assert made >= {"app.application", "sqlalchemy"}
    assert loaded(database, "from app import create_app; create_app()") & LATER == set()


def test_a_server_has_the_sdk_before_its_first_chat(tmp_path: Path) -> None:
    assert "openai" in loaded({"DATABASE_URL": f"sqlite:///{tmp_path}/sluice.db"}, "import wsgi")


def loaded(settings: dict[str, str], code: str) -> set[str]:
    """Return the modules that are imported in a new process when it has run the code."""
    command = [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"]
    environment = environment_without(settings)
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True, timeout=120)
    return set(done.stdout.split())
