"""The vault: encrypts settings at rest, so that a copy of the database is useless without the vault's keys."""

import logging
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from ..config import SettingError
from ..failure import Code, Failure

log = logging.getLogger(__name__)


class Vault:
    """Encrypts values with the first of its keys, and decrypts with any of them (Fernet, of `cryptography`).

    The user and the name of the setting are encrypted with the value, so a row copied to another user does not open.
    """

    def __init__(self, keys: tuple[str, ...], file: Path | None) -> None:
        """Take Fernet keys, and the file of the key that is used without them. Raises `SettingError`."""
        self._file = file
        self._given = [_fernet(key) for key in keys]
        self._opened: list[Fernet] = []
        self._has_warned = False

    def prepare(self, *, may_make_key: bool = True) -> None:
        """Read the key file; make it if there is none and no key was given. Raises `OSError`, and `Failure` 503.

        If values are encrypted already, a new key would only hide that the old one is missing (`may_make_key`).
        """
        if self._opened:
            return
        if may_make_key and self._file is not None and not self._given and not self._file.exists():
            _write_key(self._file)
        self._opened = [*self._given, *self._read_key()]

    def _read_key(self) -> list[Fernet]:
        """Read the file. Without permission to read it, only the values that it encrypted are locked."""
        try:
            return _read_key(self._file)
        except PermissionError:
            if not self._has_warned:
                log.error(  # noqa: TRY400 - no traceback for operators
                    "The vault's key cannot be read: user %d may not read %s.", os.geteuid(), self._file
                )
            self._has_warned = True
            return []

    def seal(self, user: str, name: str, value: str) -> str:
        """Encrypt the value of a user's setting. Raises `Failure` 503."""
        return self._first().encrypt(msgspec.json.encode((user, name, value))).decode()

    def open(self, user: str, name: str, sealed: str) -> str:
        """Decrypt a value. Raises `Failure` 503 if no key fits, or if it belongs to another user or setting."""
        try:
            place = msgspec.json.decode(MultiFernet(self._keys()).decrypt(sealed), type=tuple[str, str, str])
        except (InvalidToken, msgspec.MsgspecError, ValueError) as error:
            raise _locked() from error
        if place[:2] != (user, name):
            raise _locked()
        return place[2]

    def fits(self, user: str, name: str, sealed: str) -> bool:
        """Tell whether a value can be opened."""
        try:
            self.open(user, name, sealed)
        except Failure:
            return False
        return True

    @property
    def description(self) -> str:
        """A phrase that says where the keys are."""
        if self._given:
            return f"its keys are in VAULT_KEYS ({len(self._given)})"
        return f"its key is in {self._file}, without which nothing can be decrypted: keep a copy"

    def is_current(self, sealed: str) -> bool:
        """Tell whether a value is encrypted with the first key."""
        try:
            self._first().decrypt(sealed)
        except (InvalidToken, ValueError):
            return False
        return True

    def _first(self) -> Fernet:
        return self._keys()[0]

    def _keys(self) -> list[Fernet]:
        """Return the keys; look for the file again if it was missing."""
        try:
            self.prepare(may_make_key=False)
        except OSError as error:
            raise _locked() from error
        if not self._opened:
            raise _locked()
        return self._opened


def _locked() -> Failure:
    message = "The stored settings cannot be decrypted. Whoever runs this service has to restore the vault's key."
    return Failure(Code.VAULT_LOCKED, message)


def _fernet(key: str) -> Fernet:
    if not re.fullmatch(r"[A-Za-z0-9_-]{43}=", key, re.ASCII):
        raise SettingError("VAULT_KEYS must be Fernet keys: 32 bytes in URL-safe base64, separated by commas.")
    return Fernet(key)


def _write_key(file: Path) -> None:
    """Make the key file atomically; of several processes that start at once, one wins."""
    mine = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    mine.touch(0o600, exist_ok=False)
    try:
        with mine.open("wb") as new:
            new.write(Fernet.generate_key())
            new.flush()
            os.fsync(new.fileno())
        with suppress(FileExistsError):
            os.link(mine, file)
    finally:
        mine.unlink()


def _read_key(file: Path | None) -> list[Fernet]:
    if file is None or not file.exists():
        return []
    try:
        return [Fernet(file.read_bytes().strip())]
    except ValueError as error:
        raise _locked() from error
