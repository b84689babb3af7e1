"""The files of an SQLite database: made for their owner alone, shared where the operator let a group in."""

import os
import stat
from contextlib import suppress
from pathlib import Path


class Inaccessible(OSError):
    """This process's user may not use a file; the message says which, and what to do."""


def make_private(path: Path) -> None:
    """Make the database's file before SQLite does, and readable by its owner alone: keys are in it.

    A group that may write was let in by the operator. SQLite gives the files beside it the same mode.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.touch(0o600)
    mode = stat.S_IMODE(path.stat().st_mode)
    wanted = 0o660 if mode & stat.S_IWGRP else 0o600
    if mode != wanted:
        with suppress(PermissionError):  # another's
            path.chmod(wanted)


def open_lock(path: Path) -> int | None:
    """Open the file beside a database that whoever migrates it locks; None where that is not for us to open or make."""
    with suppress(PermissionError):
        lock = os.open(f"{path}.lock", os.O_CREAT | os.O_RDONLY, 0o600)
        with suppress(PermissionError):  # another's
            os.fchmod(lock, stat.S_IMODE(path.stat().st_mode))
        return lock
    return None


def require_access(path: Path) -> None:
    """Raise `Inaccessible` if it is this process's user that a database is closed to."""
    folder = [(path.parent, os.W_OK | os.X_OK, "make files in")] if path.parent.is_dir() else []
    files = [(Path(f"{path}{suffix}"), os.R_OK | os.W_OK, "read and write") for suffix in ("", "-wal", "-shm")]
    for file, mode, what in [*folder, *files]:
        if file.exists() and not os.access(file, mode):
            found = file.stat()
            raise Inaccessible(
                f"user {os.geteuid()} may not {what} {file}, which is user {found.st_uid}'s and group {found.st_gid}'s "
                f"(mode {stat.S_IMODE(found.st_mode):o}). Run as that user, or in a group with it: "
                f"chgrp -R GROUP {path.parent}; chmod -R g+rwX {path.parent}; chmod g+s {path.parent}"
            )
