"""A new connection to a provider: DNS, proxy, TCP and TLS, all within one deadline."""

import errno
import ipaddress
import os
import re
import select
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from time import monotonic

from ..failure import Code, Failure
from ..proxy import Proxy
from ..wait import retry_when_ready
from .call import Call
from .egress import Origin, require_public
from .names import Address, Names

_MAX_REPLY_BYTES = 16 * 1024

NAMES = Names()
"""The look-ups of hosts that the operator chose."""


def dial(  # noqa: PLR0913 - each decides where or how to connect
    origin: Origin,
    tls: ssl.SSLContext,
    proxy: Proxy,
    seconds: float,
    call: Call,
    *,
    public_only: bool = False,
    names: Names = NAMES,
) -> socket.socket:
    """Connect to an origin within so many seconds, and return a non-blocking socket. Raises `Failure`.

    With `public_only`, the host is looked up once, all its addresses must be public, and one of these addresses is
    connected to, also by the proxy: a second look-up could give another answer, which is DNS rebinding
    (CVE-2026-54020). The look-up counts against the limit of the call's user.
    """
    deadline = monotonic() + seconds
    try:
        if proxy.serves(*origin):
            sock = _connect_through(proxy, origin, deadline, names if public_only else None, call)
        else:
            addresses = _addresses((origin.host, origin.port), deadline, names, call, public_only=public_only)
            sock = _connect_first(addresses, deadline, partial(_connect, call))
        return _start_tls(sock, origin.host, tls, deadline, call) if origin.scheme == "https" else sock
    except ssl.SSLError as error:
        raise Failure(Code.UP_TLS, "The provider's certificate could not be verified.") from error
    except (socket.gaierror, ValueError) as error:  # an impossible name is a ValueError
        raise Failure(Code.UP_DNS, "The provider's host name could not be found.") from error
    except TimeoutError as error:
        raise Failure(Code.UP_TIMEOUT, "The provider could not be reached in time.") from error
    except (OSError, OverflowError) as error:  # an impossible port is an OverflowError
        raise Failure(Code.UP_CONNECT, "The provider could not be reached.") from error


def _connect_through(proxy: Proxy, origin: Origin, deadline: float, names: Names | None, call: Call) -> socket.socket:
    """Connect through the proxy: to the host by its name, or with `names`, to one of its public addresses."""
    if names is None:
        return _tunnel(proxy, origin.host, origin.port, call, deadline)
    addresses = _addresses((origin.host, origin.port), deadline, names, call, public_only=True)
    return _connect_first(addresses, deadline, lambda at, until: _tunnel(proxy, at[1][0], origin.port, call, until))


def _connect_first(
    addresses: list[Address], deadline: float, connect: Callable[[Address, float], socket.socket]
) -> socket.socket:
    """Connect to the first address that answers; each gets an equal share of the remaining time."""
    errors: list[OSError] = []
    for number, address in enumerate(addresses):
        share = (deadline - monotonic()) / (len(addresses) - number)
        try:
            return connect(address, monotonic() + share)
        except OSError as error:
            errors.append(error)
    raise errors[0]


def _connect(call: Call, address: Address, deadline: float) -> socket.socket:
    family, where = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    with _closed_on_failure(sock):
        sock.settimeout(0)
        code = sock.connect_ex(where)
        if code == errno.EINPROGRESS:
            call.wait(sock, select.POLLOUT, deadline)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


@contextmanager
def _closed_on_failure(sock: socket.socket) -> Iterator[None]:
    with ExitStack() as on_failure:
        on_failure.callback(sock.close)
        yield
        on_failure.pop_all()


def _addresses(
    place: tuple[str, int], deadline: float, names: Names, call: Call, *, public_only: bool
) -> list[Address]:
    """Return the addresses of a host and port; the host may be an IP address."""
    host, port = place
    try:
        version = ipaddress.ip_address(host).version
        addresses = [(socket.AF_INET if version == 4 else socket.AF_INET6, (host, port))]  # noqa: PLR2004
    except ValueError:
        addresses = names.addresses(host, port, deadline, call.wait, call.account.user if public_only else None)
    if public_only:
        require_public(where[0] for _, where in addresses)
    return addresses


def _tunnel(proxy: Proxy, host: str, port: int, call: Call, deadline: float) -> socket.socket:
    """Open a tunnel through the proxy to a host or an address (RFC 9110, section 9.3.6)."""
    addresses = _addresses(proxy.address, deadline, NAMES, call, public_only=False)
    sock = _connect_first(addresses, deadline, partial(_connect, call))
    with _closed_on_failure(sock):
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        headers = [f"{name}: {value}" for name, value in ({"Host": target} | proxy.headers).items()]
        sock.sendall("\r\n".join([f"CONNECT {target} HTTP/1.1", *headers, "", ""]).encode())  # a new socket has room
        reply = _reply(sock, deadline, call)
        if not re.match(rb"HTTP/1\.\d 2\d\d\b", reply):
            raise OSError(f"the proxy answered {reply[:100]!r}")
    return sock


def _reply(sock: socket.socket, deadline: float, call: Call) -> bytes:
    """Read the proxy's answer up to its blank line. Nothing follows it, because in TLS the client speaks first."""
    reply = b""
    while b"\r\n\r\n" not in reply:
        data = retry_when_ready(lambda: sock.recv(_MAX_REPLY_BYTES), call.wait, sock, deadline)
        if not data or len(reply) > _MAX_REPLY_BYTES:
            raise OSError("the proxy's answer is not HTTP")
        reply += data
    return reply


def _start_tls(sock: socket.socket, host: str, tls: ssl.SSLContext, deadline: float, call: Call) -> ssl.SSLSocket:
    """Do the TLS handshake, which verifies the certificate and its host name."""
    with _closed_on_failure(sock):
        secured = tls.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    with _closed_on_failure(secured):
        retry_when_ready(secured.do_handshake, call.wait, secured, deadline)
    return secured
