"""Authentication: who sent a request, by a host application, a bearer token, a JWT, a session cookie, or locally."""

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
from .unauthorized import unauthorized

Identify = Callable[[Request], object]
"""The login of a host application: takes a request and returns the id of its user, or None."""

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_OWN_SITES = ("same-origin", "same-site")
_BROWSER_HEADERS = ("Cookie", "Origin", "Sec-Fetch-Site")
"""Headers of browsers, which send cookies, passwords and client certificates with the requests of any page."""


class Login:
    """Authenticates requests with the logins that are configured.

    Each request is judged by one credential: after a wrong one, no other is tried. Without any login, the user of this
    machine is let in, until the first token is created.
    """

    def __init__(self, settings: Settings, store: Store, identify: Identify | None) -> None:
        """Take the settings, the store of tokens and profiles, and the login of the host application if it has one."""
        self._origins = tuple(origin for origin in settings.cors_origins if origin != "*")
        self._store = store
        self._claims = Claims(settings)
        self._identify = identify
        self.is_host_login = identify is not None
        """Whether the host application decides, and it alone."""
        self.is_configured = self.is_host_login or self._claims.is_configured
        """Whether a host login or JWTs are configured."""

    def user(self, request: Request) -> str:
        """Return the id of the user who sent a request.

        Raises `Failure`: 401 without a valid credential, 403 for a cookie that was sent for a page of another site,
        503 while the database or the keys of the identity provider cannot be read.
        """
        if self._identify is not None:
            return self._welcome(self._host_user(request, self._identify))
        if "Authorization" in request.headers:
            return self._bearer(request)
        if self._claims.is_configured:
            return self._welcome(self._cookie_user(request))
        if self._store.tokens.exist():
            raise unauthorized()
        return local.identify(request, self._origins)

    def _welcome(self, user: str) -> str:
        """Return a user of another login, with a profile. The id of this machine's own user is reserved."""
        if user == local.LOCAL_USER:
            raise unauthorized()
        self._store.profiles.welcome(user)
        return user

    def _host_user(self, request: Request, identify: Identify) -> str:
        """Return the user that the host application names. Its login may be one that browsers send by themselves."""
        try:
            user = identify(request)
        except (Unauthorized, Forbidden) as refusal:  # from decorators of the host, for example
            raise unauthorized() from refusal
        if user is None:
            raise unauthorized()
        if not isinstance(user, str) or not user.isprintable() or not 0 < len(user) <= MAX_USER_CHARACTERS:
            raise TypeError("identify() returned neither None nor a valid user id")
        if _scheme(request) != "bearer" and any(name in request.headers for name in _BROWSER_HEADERS):
            self._require_own_site(request)
        return user

    def _bearer(self, request: Request) -> str:
        """Return the user of a bearer token (RFC 6750, section 2.1): one of ours, or a JWT of the identity provider."""
        if _scheme(request) != "bearer":
            raise unauthorized()
        credential = request.headers["Authorization"].partition(" ")[2].strip()
        if not credential.startswith(PREFIX) and self._claims.is_configured:
            return self._welcome(self._claims.user(credential))
        user = self._store.tokens.user(credential)
        if user is None:
            raise unauthorized()
        return user

    def _cookie_user(self, request: Request) -> str:
        """Return the user of a Supabase session cookie, which the browser sends with the requests of any page."""
        users = {user for token in cookie.tokens(request.cookies) if (user := self._valid(token))}
        if len(users) != 1:  # a page of another subdomain may have added a session of its own
            raise unauthorized()
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
        """Refuse cross-site request forgery: a cookie proves who the user is, but not that the user wants the request.

        https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
        """
        origin, site = request.headers.get("Origin", ""), request.headers.get("Sec-Fetch-Site")
        ours = (f"https://{request.host}", f"http://{request.host}")
        is_own = site in _OWN_SITES if site is not None else origin in ours
        if request.method not in _SAFE_METHODS and not is_own and origin not in self._origins:
            message = "This request came from a page of another site. Please use the application's own page."
            raise Failure(Code.FORBIDDEN_ORIGIN, message)


def _scheme(request: Request) -> str:
    """Return the authentication scheme of a request in small letters, or an empty text."""
    return request.headers.get("Authorization", "").partition(" ")[0].lower()
