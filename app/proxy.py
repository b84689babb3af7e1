"""The HTTP proxy of HTTPS_PROXY: the way out of a network without direct access."""

from base64 import b64encode
from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed leaves it out


class Proxy(NamedTuple):
    """An HTTP proxy, used with CONNECT (RFC 9110, section 9.3.6)."""

    url: str
    """`http://user:password@host:port`; without one, there is no proxy."""
    exceptions: str
    """Hosts that are reached directly, in the syntax of `NO_PROXY`."""

    def serves(self, scheme: str, host: str, port: int) -> bool:
        """Tell whether an origin is reached through the proxy: only `https`, which the proxy cannot read."""
        direct = proxy_bypass_environment(f"{host}:{port}", {"no": self.exceptions})
        return bool(self.url) and scheme == "https" and not direct

    @property
    def address(self) -> tuple[str, int]:
        """The host and port of the proxy itself."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 80

    @property
    def headers(self) -> dict[str, str]:
        """The header with the user and the password of the URL, if it has a user (RFC 7617)."""
        parts = urlsplit(self.url)
        if parts.username is None:
            return {}
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        return {"Proxy-Authorization": f"Basic {b64encode(credentials).decode()}"}


DIRECT = Proxy("", "")
"""No proxy."""
