"""The user of this very machine, who needs no login as long as none is configured."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from flask import Request

from app.auth.nobody import nobody

LOCAL_USER = "local"

_FORWARDED = ("forwarded", "via", "x-forwarded", "x-real-ip", "x-client-ip", "x-cluster-", "cf-", "true-client-")


def identify(request: Request, origins: tuple[str, ...]) -> str:
    """Return the id of this machine's user. Raises `Failure` 401 when it is not a direct connection from loopback.

    A proxy's connection comes from loopback too, for somebody else; and a web page from anywhere can make a browser
    on this machine send a request, so a browser must say that the page is our own, or of one of the origins.
    """
    if _is_loopback(request.remote_addr) and not _is_forwarded(request) and _is_own_page(request, origins):
        return LOCAL_USER
    raise nobody()


def _is_loopback(address: str | None) -> bool:
    try:
        found = ip_address(address or "")
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


def _is_forwarded(request: Request) -> bool:
    """Tell whether a proxy left its mark: a header whose name begins as those of proxies do."""
    return any(name.lower().startswith(_FORWARDED) for name in request.headers.keys())  # noqa: SIM118 - pairs otherwise


def _is_own_page(request: Request, origins: tuple[str, ...]) -> bool:
    """Tell whether the request's host is this machine, and its origin, if a page sent it, is that host or a named one.

    The name in `Host` is checked because a foreign name that resolves to 127.0.0.1 makes a foreign page same-origin.
    """
    host = urlsplit(f"//{request.host}").hostname or ""
    origin = request.headers.get("Origin")
    return (host == "localhost" or _is_loopback(host)) and origin in (
        None,
        f"{request.scheme}://{request.host}",
        *origins,
    )
