"""The one refusal of a login."""

from ..failure import Code, Failure


def unauthorized(hint: str = "") -> Failure:
    """Return the `Failure` 401. Without a hint it is always the same, so that it does not tell how good a guess was.

    `hint` tells the operator what to set up. It is only for requests that show no credential at all.
    """
    return Failure(Code.UNAUTH, f"User not found{hint and '. '}{hint}", {"WWW-Authenticate": "Bearer"})
