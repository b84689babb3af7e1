"""Who is asking."""

from collections.abc import Callable

from flask import Request
from werkzeug.exceptions import Forbidden, Unauthorized

from ..config import Settings
from ..failure import Code, Failure
from ..store import Store
from ..store.profiles import MAX_USER_CHARACTERS
from ..store.tokens import PREFIX
from . import cookie, local
from .claims import Claims
from .nobody import nobody

Identify = Callable[[Request], object]
"""The login of an application around this one: returns the id of the user who sent a request, or None."""

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_OWN_SITES = ("same-origin", "same-site")
_BROWSERS_OWN = ("Cookie", "Origin", "Sec-Fetch-Site")
"""What tells that a browser sent a request; it sends cookies, passwords and certificates for pages of any site."""


class Login:
    """Finds out who asks, by the logins that are configured: one credential a request; a wrong one is not passed over.

    `user` raises `Failure`: 401 for nobody, 403 for a foreign page with a user's cookie, 503 while it cannot be known.
    """

    def __init__(self, settings: Settings, store: Store, identify: Identify | None) -> None:
        """Take the settings of the logins, where tokens are kept, and the login of the application around this one."""
        self._origins = tuple(origin for origin in settings.cors_origins if origin != "*")
        self._store = store
        self._claims = Claims(settings)
        self._identify = identify
        self.is_the_host_s = identify is not None
        """Whether the application around this one decides."""
        self.is_configured = self.is_the_host_s or self._claims.configured
        """Whether there is a login besides the tokens that were made."""

    def user(self, request: Request) -> str:
        """Return the id of the user who asks."""
        if self._identify is not None:
            return self._welcome(self._host_user(request, self._identify))
        if "Authorization" in request.headers:
            return self._bearer(request)
        if self._claims.configured:
            return self._welcome(self._cookie_user(request))
        if self._store.tokens.exist():
            raise nobody()
        return local.identify(request, self._origins)

    def _welcome(self, user: str) -> str:
        """Let in whom another login knows: anybody but this machine's own user, whom the operator has set up."""
        if user == local.LOCAL_USER:
            raise nobody()
        self._store.profiles.welcome(user)
        return user

    def _host_user(self, request: Request, identify: Identify) -> str:
        """Ask the application around this one, whose login may be what browsers send by themselves."""
        try:
            user = identify(request)
        except (Unauthorized, Forbidden) as refusal:  # which a host's own guards raise
            raise nobody() from refusal
        if user is None:
            raise nobody()
        if not isinstance(user, str) or not user.isprintable() or not 0 < len(user) <= MAX_USER_CHARACTERS:
            raise TypeError("identify() returned neither None nor what can be a user's id")
        if _scheme(request) != "bearer" and any(name in request.headers for name in _BROWSERS_OWN):
            self._require_own_site(request)
        return user

    def _bearer(self, request: Request) -> str:
        """Take a token of ours, or an identity provider's (RFC 6750, section 2.1)."""
        if _scheme(request) != "bearer":
            raise nobody()
        credential = request.headers["Authorization"].partition(" ")[2].strip()
        if not credential.startswith(PREFIX) and self._claims.configured:
            return self._welcome(self._claims.user(credential))
        user = self._store.tokens.user(credential)
        if user is None:
            raise nobody()
        return user

    def _cookie_user(self, request: Request) -> str:
        """Take the session of a frontend on the same site, which its browser sends with requests of any page."""
        users = {user for token in cookie.tokens(request.cookies) if (user := self._valid(token))}
        if len(users) != 1:  # A page of a neighbour's may have added its own session to the user's.
            raise nobody()
        self._require_own_site(request)
        return users.pop()

    def _valid(self, token: str) -> str | None:
        try:
            return self._claims.user(token)
        except Failure as failure:
            if failure.code is not Code.UNAUTH:
                raise
            return None

    def _require_own_site(self, request: Request) -> None:
        """Refuse what a page of another site had the browser send: its cookie says who, not that they meant to.

        https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
        """
        origin, site = request.headers.get("Origin", ""), request.headers.get("Sec-Fetch-Site")
        ours = (f"https://{request.host}", f"http://{request.host}")
        is_own = site in _OWN_SITES if site is not None else origin in ours
        if request.method not in _SAFE_METHODS and not is_own and origin not in self._origins:
            message = "This request came from a page of another site. Please use the application's own page."
            raise Failure(Code.FORBIDDEN_ORIGIN, message)


def _scheme(request: Request) -> str:
    """Return in which way the request says who sent it, empty if it does not."""
    return request.headers.get("Authorization", "").partition(" ")[0].lower()
