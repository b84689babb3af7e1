"""The user of this machine, who needs no credential as long as no login is configured."""

from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from flask import Request

from ..config import COMMAND
from .unauthorized import unauthorized

LOCAL_USER = "local"

_PROXY_HEADERS = tuple(
    f"HTTP_{name}"
    for name in ("FORWARDED", "VIA", "X_FORWARDED", "X_REAL_IP", "X_CLIENT_IP", "X_CLUSTER_", "CF_", "TRUE_CLIENT_")
)
"""How the names of the headers begin that proxies add, as WSGI writes them."""

_LOGIN = f"a login: `{COMMAND} token create --user NAME`, or AUTH_JWT_SECRET or AUTH_JWKS_URL"
_FORWARDED = f"A proxy forwarded this request, so it needs {_LOGIN}."
_OTHER_HOST = f"The request's Host is neither localhost nor 127.0.0.1, so it needs {_LOGIN}."
_OTHER_ORIGIN = f"A page of another origin sent this: add that origin to CORS_ORIGINS, or set up {_LOGIN}."
_OPAQUE_ORIGIN = f"A page without an origin of its own sent this request, so it needs {_LOGIN}."


def identify(request: Request, origins: tuple[str, ...]) -> str:
    """Return the id of this machine's user if a request came directly from loopback. Raises `Failure` 401 otherwise.

    A connection from loopback may also be a proxy's, for somebody on another machine. And any web page can make a
    browser on this machine send a request, so its `Origin` must be ours or one of `origins`. Only requests from this
    machine are told why they were refused.
    """
    if not _is_loopback(request.remote_addr):
        raise unauthorized()
    if _is_forwarded(request):
        raise unauthorized(_FORWARDED)
    if not _is_own_host(request):
        raise unauthorized(_OTHER_HOST)
    if not _is_own_page(request, origins):
        can_be_named = request.headers["Origin"].startswith(("http://", "https://"))
        raise unauthorized(_OTHER_ORIGIN if can_be_named else _OPAQUE_ORIGIN)
    return LOCAL_USER


@lru_cache(maxsize=64)
def _is_loopback(address: str | None) -> bool:
    """Tell whether an IP address is a loopback address. Cached, because each request asks for the same few twice."""
    try:
        found = ip_address(address or "")
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


def _is_forwarded(request: Request) -> bool:
    """Tell whether a request has a header that proxies add."""
    return any(name.startswith(_PROXY_HEADERS) for name in request.environ)


def _is_own_host(request: Request) -> bool:
    """Tell whether `Host` names this machine: a foreign name may be one that was rebound to it (DNS rebinding)."""
    host = urlsplit(f"//{request.host}").hostname or ""
    return host == "localhost" or _is_loopback(host)


def _is_own_page(request: Request, origins: tuple[str, ...]) -> bool:
    """Tell whether `Origin`, if a page sent the request, is our own or one of `origins`."""
    return request.headers.get("Origin") in (None, f"{request.scheme}://{request.host}", *origins)
