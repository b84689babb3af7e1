"""What is kept: users' profiles and tokens, in one database."""

from collections.abc import Mapping
from types import MappingProxyType

from ..config import Settings
from .database import Database
from .profiles import Profiles
from .tokens import Tokens


class Store:
    """The database, and what is in it.

    Whatever asks the database raises `Failure` 503 while it cannot be used, and needs no restart when it can again.
    """

    def __init__(self, settings: Settings, key_of: Mapping[str, str] = MappingProxyType({})) -> None:
        """Take where the database is, and the vault's keys. Nothing is connected or made yet. Raises `SettingError`.

        `key_of` has, by the name of each endpoint that users may set, the name of the key that is sent there.
        """
        self.database = Database(settings.database_url, settings.vault_keys)
        self.profiles = Profiles(self.database, key_of)
        self.tokens = Tokens(self.database, self.profiles)
