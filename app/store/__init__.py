"""The store: the profiles and tokens of users, in one database."""

from collections.abc import Mapping
from types import MappingProxyType

from ..config import Settings
from .database import Database
from .profiles import Profiles
from .tokens import Tokens


class Store:
    """The database, and the profiles and tokens in it.

    All methods that need the database raise `Failure` 503 while it cannot be used. No restart is needed afterwards.
    """

    def __init__(self, settings: Settings, key_of: Mapping[str, str] = MappingProxyType({})) -> None:
        """Take the database's URL and the vault's keys. Nothing is connected or made yet. Raises `SettingError`.

        `key_of` maps the name of each endpoint that users may set to the name of the key that is sent there.
        """
        self.database = Database(settings.database_url, settings.vault_keys)
        self.profiles = Profiles(self.database, key_of)
        self.tokens = Tokens(self.database, self.profiles)
