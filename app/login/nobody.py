"""The one answer for everybody who is not known, whatever is wrong with what they showed."""

from ..failure import Code, Failure


def nobody(why: str = "") -> Failure:
    """Return the `Failure` 401: always the same bytes, so that nobody learns how close a guess was.

    `why` is for where there was nothing to guess: sentences on what to set up, for whoever runs the service.
    """
    return Failure(Code.UNAUTH, f"User not found{why and '. '}{why}", {"WWW-Authenticate": "Bearer"})
