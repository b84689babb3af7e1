"""The vault: settings encrypted at rest, so that a copy of the database is worth nothing without its keys."""

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
    """Encrypts values with the first of its keys, and decrypts them with any (https://cryptography.io/en/latest/fernet/).

    The user and the setting's name are encrypted with the value: a row that was copied to another user does not open.
    """

    def __init__(self, keys: tuple[str, ...], file: Path | None) -> None:
        """Take Fernet keys, and the file in which one is kept where none was given. Raises `SettingError`."""
        self._file = file
        self._given = [_fernet(key) for key in keys]
        self._opened: list[Fernet] = []
        self._is_told = False

    def prepare(self, *, may_make_key: bool = True) -> None:
        """Read the key file, which may be made if no key was given either. Raises `OSError`, and `Failure` 503.

        Where something is encrypted already, a new key would only hide that the old one is missing.
        """
        if self._opened:
            return
        if may_make_key and self._file is not None and not self._given and not self._file.exists():
            _write_key(self._file)
        self._opened = [*self._given, *self._read_key()]

    def _read_key(self) -> list[Fernet]:
        """Read the file. One that is not ours to read leaves what it encrypted locked, and everything else as it is."""
        try:
            return _read_key(self._file)
        except PermissionError:
            if not self._is_told:
                log.error("The vault's key cannot be read: user %d may not read %s.", os.geteuid(), self._file)  # noqa: TRY400
            self._is_told = True
            return []

    def seal(self, user: str, name: str, value: str) -> str:
        """Encrypt a setting's value for the one place where it belongs. Raises `Failure` 503."""
        return self._first().encrypt(msgspec.json.encode((user, name, value))).decode()

    def open(self, user: str, name: str, sealed: str) -> str:
        """Decrypt a value. Raises `Failure` 503 for one that no key fits, or that belongs elsewhere."""
        try:
            place = msgspec.json.decode(MultiFernet(self._keys()).decrypt(sealed), type=tuple[str, str, str])
        except (InvalidToken, msgspec.MsgspecError, ValueError) as error:
            raise _locked() from error
        if place[:2] != (user, name):
            raise _locked()
        return place[2]

    def fits(self, user: str, name: str, sealed: str) -> bool:
        """Tell whether a value can be decrypted."""
        try:
            self.open(user, name, sealed)
        except Failure:
            return False
        return True

    @property
    def description(self) -> str:
        """Say where its keys are, without showing one."""
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
        """Return the keys. A file that was missing may be back."""
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
    """Make the file with all of its content at once; of processes that start together, one wins."""
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
