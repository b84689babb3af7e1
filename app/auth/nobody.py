"""The one answer for everybody who is not known, whatever is wrong with what they showed."""

from app.answer import Failure


def nobody() -> Failure:
    """Return the `Failure` 401: always the same bytes, so that nobody learns how close a guess was."""
    return Failure(401, "unauth", "User not found", {"WWW-Authenticate": "Bearer"})
