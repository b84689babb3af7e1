"""The parts of an application that all routes and commands share."""

from dataclasses import dataclass

from ..config import Settings
from ..limits import Limiter
from ..login import Login
from ..providers import Sources
from ..record import Sink
from ..store import Store
from ..streaming import Streams
from ..upstream import Upstream
from .memory import MemoryBudget


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of one application."""

    settings: Settings
    store: Store
    login: Login
    limiter: Limiter
    upstream: Upstream
    streams: Streams
    bodies: MemoryBudget
    sinks: tuple[Sink, ...] = ()
    """Functions that take the record of each chat."""

    def sources(self, user: str) -> Sources:
        """Return the sources of the values of a user's fields."""
        settings = self.settings
        return Sources(self.store.profiles.settings(user), settings.provider_environment, settings.key_policy)
