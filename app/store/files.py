"""The files of an SQLite database: private to their owner, or shared with a group if the operator allowed that."""

import os
import stat
from contextlib import suppress
from pathlib import Path


class Inaccessible(OSError):
    """The user of this process may not use a file; the message names the file and a remedy."""


def make_private(path: Path) -> None:
    """Make the database file before SQLite does, with mode 600, because it holds keys.

    If its group may write, the operator allowed that, and the mode is 660. SQLite gives the files beside it this mode.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.touch(0o600)
    mode = stat.S_IMODE(path.stat().st_mode)
    wanted = 0o660 if mode & stat.S_IWGRP else 0o600
    if mode != wanted:
        with suppress(PermissionError):  # another user is the owner
            path.chmod(wanted)


def open_lock(path: Path) -> int | None:
    """Open the lock file beside a database, for migrations; None if this process may not open or make it."""
    with suppress(PermissionError):
        lock = os.open(f"{path}.lock", os.O_CREAT | os.O_RDONLY, 0o600)
        with suppress(PermissionError):  # another user is the owner
            os.fchmod(lock, stat.S_IMODE(path.stat().st_mode))
        return lock
    return None


def require_access(path: Path) -> None:
    """Raise `Inaccessible` if the user of this process may not use the database's files or its folder."""
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
