"""The user of this very machine, who needs no login as long as none is configured."""

from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from flask import Request

from .nobody import nobody

LOCAL_USER = "local"

_PROXY_HEADERS = tuple(
    f"HTTP_{name}"
    for name in ("FORWARDED", "VIA", "X_FORWARDED", "X_REAL_IP", "X_CLIENT_IP", "X_CLUSTER_", "CF_", "TRUE_CLIENT_")
)
"""How the names of the headers begin that proxies add, as WSGI writes them."""

_LOGIN = "a login: `flask --app wsgi token create --user NAME`, or AUTH_JWT_SECRET or AUTH_JWKS_URL"
_BY_A_PROXY = f"A proxy forwarded this request, so it needs {_LOGIN}."
_OF_ANOTHER_HOST = f"The request's Host is neither localhost nor 127.0.0.1, so it needs {_LOGIN}."
_OF_ANOTHER_ORIGIN = f"A page of another origin sent this: add that origin to CORS_ORIGINS, or set up {_LOGIN}."
_OF_NO_ORIGIN = f"A page without an origin of its own sent this request, so it needs {_LOGIN}."


def identify(request: Request, origins: tuple[str, ...]) -> str:
    """Return the id of this machine's user. Raises `Failure` 401 when it is not a direct connection from loopback.

    A proxy's connection comes from loopback too, for somebody else; and a web page from anywhere can make a browser
    on this machine send a request, so a browser must say that the page is our own, or of one of the origins. What was
    refused on this machine is told why; other machines are told nothing.
    """
    if not _is_loopback(request.remote_addr):
        raise nobody()
    if _is_forwarded(request):
        raise nobody(_BY_A_PROXY)
    if not _is_own_host(request):
        raise nobody(_OF_ANOTHER_HOST)
    if not _is_own_page(request, origins):
        can_be_named = request.headers["Origin"].startswith(("http://", "https://"))
        raise nobody(_OF_ANOTHER_ORIGIN if can_be_named else _OF_NO_ORIGIN)
    return LOCAL_USER


@lru_cache(maxsize=64)
def _is_loopback(address: str | None) -> bool:
    """Tell whether an IP address is this machine. It is asked twice in a request, about the same few addresses."""
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
    """Tell whether `Host` is this machine: a foreign name that resolves to it makes a foreign page same-origin."""
    host = urlsplit(f"//{request.host}").hostname or ""
    return host == "localhost" or _is_loopback(host)


def _is_own_page(request: Request, origins: tuple[str, ...]) -> bool:
    """Tell whether the page that sent the request, if one did, is of the request's own origin or of a named one."""
    return request.headers.get("Origin") in (None, f"{request.scheme}://{request.host}", *origins)
