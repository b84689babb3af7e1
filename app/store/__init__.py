"""What is kept: users' profiles and tokens, in one database."""

from app.config import Settings
from app.store.database import Database
from app.store.profiles import Profiles
from app.store.tokens import Tokens


class Store:
    """The database, and what is in it.

    Whatever asks the database raises `Failure` 503 while it cannot be used, and needs no restart when it can again.
    """

    def __init__(self, settings: Settings) -> None:
        """Take where the database is, and the vault's keys. Nothing is connected or made yet. Raises `SettingError`."""
        self.database = Database(settings.database_url, settings.vault_keys)
        self.profiles = Profiles(self.database)
        self.tokens = Tokens(self.database, self.profiles)
