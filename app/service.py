"""What all routes share."""

from dataclasses import dataclass

from app.auth import Login
from app.body import Bodies
from app.config import Settings
from app.limiter import Limiter
from app.store import Store
from app.streaming import Streams
from app.upstream import Upstream


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
