"""How something fails: a code, a status and a sentence for a person. And `Gone`, which is nobody's failure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Self


class Code(StrEnum):
    """Every `code` that an error can carry, with its HTTP status, and after how many seconds another try is worth it.

    A failure may have another status, as when a provider's own is passed on.
    """

    status: int
    retry_after: int | None

    def __new__(cls, value: str, status: int, retry_after: int | None = None) -> Self:
        """Make a member that equals its value."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.status, member.retry_after = status, retry_after
        return member

    # What the client sent.
    BAD_BODY = "bad_body", 400
    BAD_TYPE = "bad_type", 415
    TOO_LARGE = "too_large", 413
    BODY_TIMEOUT = "body_timeout", 408
    BAD_KEY = "bad_key", 400
    MISSING_KEY = "missing_key", 400
    BLOCKED_ENDPOINT = "blocked_endpoint", 400
    UNAUTH = "unauth", 401
    FORBIDDEN_ORIGIN = "forbidden_origin", 403
    NOT_FOUND = "not_found", 404
    METHOD = "method", 405
    # What this service can do at the moment.
    RATE_LIMITED = "rate_limited", 429
    SHED = "shed", 503, 1
    DRAINING = "draining", 503, 5
    DB_UNAVAILABLE = "db_unavailable", 503, 5
    AUTH_UNAVAILABLE = "auth_unavailable", 503, 5
    VAULT_LOCKED = "vault_locked", 503, 60
    INTERNAL = "internal", 500
    # What the provider says.
    PROVIDER_AUTH = "provider_auth", 401
    PROVIDER_DENIED = "provider_denied", 403
    PROVIDER_BAD_REQUEST = "provider_bad_request", 400
    PROVIDER_TOO_LARGE = "provider_too_large", 413
    PROVIDER_RATE_LIMITED = "provider_rate_limited", 429
    PROVIDER_QUOTA = "provider_quota", 402
    PROVIDER_ERROR = "provider_error", 500
    PROVIDER_OVERLOADED = "provider_overloaded", 503
    CONTENT_FILTER = "content_filter", 400
    # What happens on the way to the provider and back.
    UP_CONNECT = "up_connect", 500
    UP_DNS = "up_dns", 500
    UP_TLS = "up_tls", 500
    UP_TIMEOUT = "up_timeout", 500
    UP_IDLE = "up_idle", 500
    UP_RESET = "up_reset", 500
    UP_TRUNCATED = "up_truncated", 500
    UP_BAD_DATA = "up_bad_data", 500
    UP_TOO_LARGE = "up_too_large", 500
    UP_ENCODING = "up_encoding", 500
    UP_REDIRECT = "up_redirect", 500
    UP_PROTOCOL = "up_protocol", 500
    UP_EMPTY = "up_empty", 500


class Failure(Exception):
    """Something that a person is told: a code, and a sentence to act on."""

    def __init__(
        self, code: Code, message: str, headers: Mapping[str, str] | None = None, *, status: int | None = None
    ) -> None:
        """Take the code, the sentence, headers of the answer, and the HTTP status where it is not the code's own."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status or code.status
        self.headers = headers or ({"Retry-After": str(code.retry_after)} if code.retry_after else {})


class Gone(BaseException):
    """The reader left. Thrown into whatever the request waits for.

    A `BaseException`, so that no code that reads a socket takes it for the provider's failure.
    """

    def __init__(self, outcome: str = "client_gone") -> None:
        """Take the chat's outcome: `client_gone`, or `client_stalled` for a client that stopped reading."""
        super().__init__(outcome)
        self.outcome = outcome
