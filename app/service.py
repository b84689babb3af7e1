"""What all routes share."""

from dataclasses import dataclass

from .auth import Login
from .body import Bodies
from .config import Settings
from .limiter import Limiter
from .store import Store
from .streaming import Streams
from .upstream import Upstream


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of one application."""

    settings: Settings
    store: Store
    login: Login
    limiter: Limiter
    upstream: Upstream
    streams: Streams
    bodies: Bodies
