"""Egress rules: which addresses an endpoint that a user chose may have. The operator's endpoints are not checked."""

import ipaddress
import re
from collections.abc import Iterable
from typing import NamedTuple

import httpx2

from ..failure import Code, Failure

PORTS = frozenset({443})
"""The ports that a user's endpoint may have."""

_DEFAULT_PORTS = {"https": 443, "http": 80}
_NOT_IN_ENDPOINTS = re.compile(r"[\s?#@\\]")
_NAME = re.compile(r"([a-z0-9-]+\.)+[a-z][a-z0-9-]*")
"""A host name with a dot. A last label that begins with a digit is refused, because the system's resolver reads it as
a part of an address, in any notation: `2130706433`, `0x7f.1`, `0177.0.0.1` and `127.1` are all 127.0.0.1."""

_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""The part of IPv6 that is routed; the rest is loopback, IPv4 inside IPv6 (mapped, compatible, NAT64), local,
multicast, or reserved (https://www.iana.org/assignments/ipv6-address-space)."""

_SPECIAL_4 = [
    # https://www.iana.org/assignments/iana-ipv4-special-registry: the entries that Python's `is_global` lets pass.
    ipaddress.IPv4Network("192.0.0.0/24"),  # IETF protocol assignments; Oracle's cloud has its metadata here
    ipaddress.IPv4Network("192.31.196.0/24"),  # AS112
    ipaddress.IPv4Network("192.52.193.0/24"),  # AMT
    ipaddress.IPv4Network("192.88.99.0/24"),  # 6to4 relays
    ipaddress.IPv4Network("192.175.48.0/24"),  # AS112
    ipaddress.IPv4Network("224.0.0.0/4"),  # multicast
    # https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
    ipaddress.IPv4Network("168.63.129.16/32"),  # the platform's own services, as every machine in that cloud sees them
]
_SPECIAL_6 = [
    # https://www.iana.org/assignments/iana-ipv6-special-registry: the same, within 2000::/3.
    ipaddress.IPv6Network("2001::/23"),  # IETF protocol assignments, among them Teredo, which holds an IPv4 address
    ipaddress.IPv6Network("2001:db8::/32"),  # documentation
    ipaddress.IPv6Network("2002::/16"),  # 6to4, which holds an IPv4 address
    ipaddress.IPv6Network("2620:4f:8000::/48"),  # AS112
    ipaddress.IPv6Network("3fff::/20"),  # documentation
]
_ISATAP = 0x00005EFE
"""The 32 bits before the IPv4 address in an ISATAP address (RFC 5214, section 6.1); two of them may differ."""


class Origin(NamedTuple):
    """The scheme, host and port of a request. A connection can serve any request to its origin."""

    scheme: str
    host: str
    port: int


def parse(url: str) -> httpx2.URL | None:
    """Parse a URL with the parser of the HTTP client; None for one that is invalid or not http(s).

    If a check and the client parsed a URL differently, an attacker could pass the check (CVE-2026-45400).
    """
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError):
        return None
    return parsed if parsed.scheme in _DEFAULT_PORTS and parsed.host else None


def origin_of(url: httpx2.URL) -> Origin:
    """Return the origin of an http(s) URL, its host in ASCII and small letters."""
    return Origin(url.scheme, url.raw_host.decode(), _DEFAULT_PORTS[url.scheme] if url.port is None else url.port)


def is_public(address: str) -> bool:
    """Tell whether an IP address belongs to the public Internet, and does not wrap another address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv4Address):
        return found.is_global and not any(found in network for network in _SPECIAL_4)
    is_isatap = int(found) >> 32 & 0xFCFFFFFF == _ISATAP
    is_plain = found in _GLOBAL_UNICAST and found.scope_id is None and not is_isatap
    return is_plain and found.is_global and not any(found in network for network in _SPECIAL_6)


def require_public(addresses: Iterable[str]) -> None:
    """Raise `Failure` unless all of a host's addresses are public."""
    if not all(map(is_public, addresses)):
        raise _blocked("leads to an address that is not public")


def is_listed(url: str, allowed: Iterable[str]) -> bool:
    """Tell whether a URL's origin is one of those that the operator allows."""
    parsed = parse(url)
    known = (parse(origin) for origin in allowed)
    return parsed is not None and origin_of(parsed) in {origin_of(origin) for origin in known if origin is not None}


def check_endpoint(url: str, allowed: Iterable[str]) -> None:
    """Check the URL of an endpoint that a user chose, when it is set and again before each request. Raises `Failure`.

    It must be https, on one of `PORTS`, to a public address or a name with a dot; the addresses of a name are checked
    when it is connected to. If the origin is `allowed`, any http(s) URL will do.
    """
    parsed = parse(url)
    if parsed is None or _NOT_IN_ENDPOINTS.search(url):
        raise _blocked("must be an address like https://host.example, with nothing but a path behind it")
    if is_listed(url, allowed):
        return
    if parsed.scheme != "https":
        raise _blocked("must begin with https://")
    origin = origin_of(parsed)
    if origin.port not in PORTS:
        raise _blocked("must be on port 443, which need not be written")
    if not _may_be_public(origin.host):
        raise _blocked("must be a public host")


def _may_be_public(host: str) -> bool:
    return is_public(host) or bool(_NAME.fullmatch(host.removesuffix(".")))


def _blocked(what: str) -> Failure:
    return Failure(Code.BLOCKED_ENDPOINT, f"The endpoint {what}. Please fix it in your profile settings.")
