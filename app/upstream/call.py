"""One call to a provider for one chat: its account, how it waits, how many attempts it has, and its trace."""

from dataclasses import dataclass, field
from typing import Any

from ..wait import Wait, wait_alone
from .account import Account
from .dialect import Dialect

MAX_ATTEMPTS = 2
"""How many requests one chat may cause, whatever went wrong with the first."""


@dataclass(slots=True)
class Trace:
    """The figures of a call so far, for the record of the chat."""

    attempts: int = 0
    status: int | None = None
    """The provider's HTTP status."""
    events: int = 0
    """How many events the provider has sent; noted when the answer is closed, as is `usage`."""
    first_piece: float | None = None
    """When the first piece came, on the monotonic clock."""
    usage: dict[str, Any] | None = None
    """The provider's token counts, by its own names."""


@dataclass(slots=True)
class Call:
    """One call. `deadline` is the time on the monotonic clock by which the answer's headers must come."""

    account: Account
    dialect: Dialect
    deadline: float
    wait: Wait = wait_alone
    trace: Trace = field(default_factory=Trace)
    allowed: int = MAX_ATTEMPTS
    """How many attempts are allowed."""

    def begin_attempt(self) -> None:
        """Count one more request."""
        self.trace.attempts += 1
        self.trace.status = None

    @property
    def may_retry(self) -> bool:
        """Whether one more attempt is allowed."""
        return self.trace.attempts < self.allowed
