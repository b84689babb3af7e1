"""The public keys of an identity provider (a JSON Web Key Set, RFC 7517): a TTL cache, served stale in an outage.

PyJWT parses and caches the set; what it leaves out is here: one deadline for a whole fetch, a bound on the answer, and
logins that do not wait for each other. Nothing is started before the first use, and so nothing before a server forks.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from math import inf
from socket import SHUT_RDWR, socket
from threading import Event, Lock, Thread, Timer
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit, urlunsplit

from jwt import PyJWK, PyJWKClient, PyJWKClientError, PyJWTError
from jwt.jwk_set_cache import JWKSetCache

from ..failure import Code, Failure
from ..proxy import DIRECT, Proxy

_MAX_BYTES = 256 * 1024
_MAX_KEYS = 100
_HEADERS = {"Accept": "application/json", "User-Agent": "sluice"}
_ALGORITHMS = {"RSA": "RS256", "EC P-256": "ES256", "OKP Ed25519": "EdDSA"}
"""The kinds of key (`kty` and `crv`) that are used, each for one algorithm (RFC 7518, RFC 8037)."""
_TROUBLES = (OSError, HTTPException, PyJWTError, ValueError, RuntimeError)
"""What goes wrong in a fetch; `RuntimeError` without another thread to be had, and for JSON that is nested too deep."""

log = logging.getLogger(__name__)


class Pace(NamedTuple):
    """How often a key set is fetched, in seconds."""

    deadline: float = 5
    """How long one fetch may take in all."""
    lifespan: float = 300
    """After how long the set is fetched again, in the background."""
    cooldown: float = 60
    """How long after a fetch no other is started, whether it succeeded or failed."""
    retry: float = 5
    """The cooldown as long as no set was ever fetched."""


_PACE = Pace()


class Keys(PyJWKClient):
    """The key set behind one URL. Threads may share it.

    A fetch runs in a thread of its own, a greenlet under gevent, because no library has a deadline for the look-up of a
    host name. Only a login with an unknown key waits for it, and any number of them for the same one (single flight).
    """

    jwk_set_cache: JWKSetCache

    def __init__(self, url: str, proxy: Proxy = DIRECT, pace: Pace = _PACE) -> None:
        """Take the URL of the set, and the way out. Raises `PyJWKClientError` for other URLs than http(s)."""
        super().__init__(url, headers=_HEADERS, timeout=pace.deadline, lifespan=pace.lifespan)
        self._proxy, self._pace = proxy, pace
        self._deadline = self._next = -inf
        self._ended = Event()
        self._is_failing = False
        self._lock = Lock()

    def find(self, kid: str | None, algorithm: str) -> PyJWK | None:
        """Return the key with an id, or without an id the only key for the algorithm; None if there is none.

        Raises `Failure` 503 as long as no set was ever fetched.
        """
        key = self._match(kid, algorithm)
        if key is None or self.jwk_set_cache.is_expired():
            self._refresh()
        if key is None:
            self._ended.wait(max(self._deadline - monotonic(), 0))
            key = self._match(kid, algorithm)
        if not self._keys:
            message = "Logins cannot be checked at the moment. Please try again."
            raise Failure(Code.AUTH_UNAVAILABLE, message)
        return key

    def fetch_data(self) -> dict[str, list[Any]]:
        """Download the set, which replaces PyJWT's own download, and leave out the keys that may not be used.

        Such keys are left out, not refused (RFC 7517, section 5). Raises one of `_TROUBLES`.
        """
        match json.loads(_download(self.uri, self._proxy, self.timeout)):
            case {"keys": list(keys)}:
                return {"keys": [key for key in keys[:_MAX_KEYS] if _is_usable(key)]}
        raise PyJWKClientError("the answer is not a JSON Web Key Set")

    @property
    def _keys(self) -> list[PyJWK]:
        """The keys of the last set, however old."""
        cached = self.jwk_set_cache.jwk_set_with_timestamp
        return cached.get_jwk_set().keys if cached else []

    def _match(self, kid: str | None, algorithm: str) -> PyJWK | None:
        found = [key for key in self._keys if key.algorithm_name == algorithm and kid in (None, key.key_id)]
        return found[0] if found and (kid is not None or len(found) == 1) else None

    def _refresh(self) -> None:
        """Start a fetch, unless one is under way or was within the cooldown."""
        with self._lock:
            now = monotonic()
            if now < self._next:
                return
            self._deadline, self._ended = now + self._pace.deadline, Event()
            self._next = self._deadline + self._pace.retry  # for a fetch that is given up
            try:
                Thread(target=self._run, args=(self._ended,), daemon=True).start()
            except RuntimeError as error:  # the system gives no more threads
                self._end(self._ended, error)

    def _run(self, ended: Event) -> None:
        trouble = None
        try:
            self.get_jwk_set(refresh=True)
        except _TROUBLES as error:
            trouble = error
        self._end(ended, trouble)

    def _end(self, ended: Event, trouble: Exception | None) -> None:
        if ended is self._ended:  # else it was given up, and a later fetch says how things are
            self._next = monotonic() + (self._pace.cooldown if self._keys else self._pace.retry)
            self._log(trouble)
        ended.set()

    def _log(self, trouble: Exception | None) -> None:
        """Log when an outage begins, and when it ends."""
        was_failing, self._is_failing = self._is_failing, trouble is not None
        if was_failing == self._is_failing:
            return
        if trouble is None:
            log.warning("The keys of AUTH_JWKS_URL can be fetched again.")
            return
        # Other messages than PyJWT's may show the address, and that a secret.
        reason = str(trouble) if isinstance(trouble, PyJWTError) else type(trouble).__name__
        until = "those fetched before are used" if self._keys else "nobody can log in with them"
        log.warning("The keys of AUTH_JWKS_URL cannot be fetched (%s). Until they can, %s.", reason, until)


def _is_usable(key: object) -> bool:
    """Tell whether a key may check signatures: a public one, made for that, and for the algorithm of its kind."""
    if not isinstance(key, dict) or "d" in key:
        return False
    algorithm = _ALGORITHMS.get(f"{key.get('kty')} {key.get('crv', '')}".strip())
    operations = key.get("key_ops", ["verify"])
    is_for_signatures = key.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    return algorithm is not None and key.get("alg", algorithm) == algorithm and is_for_signatures


def _download(url: str, proxy: Proxy, seconds: float) -> bytes:
    """Return what is at a URL, and never at one that it redirects to. Raises one of `_TROUBLES`."""
    parts, deadline = urlsplit(url), monotonic() + seconds
    with closing(_connection(parts, proxy, seconds)) as connection:
        connection.connect()
        with _shut_down_at(deadline, connection.sock):
            connection.request("GET", urlunsplit(("", "", parts.path or "/", parts.query, "")), headers=_HEADERS)
            with connection.getresponse() as response:
                body = response.read(_MAX_BYTES + 1)
    if response.status != HTTPStatus.OK:
        raise PyJWKClientError(f"the answer has the status {response.status}")
    if len(body) > _MAX_BYTES:
        raise PyJWKClientError("the answer is too long")
    return body


def _connection(parts: SplitResult, proxy: Proxy, seconds: float) -> HTTPConnection:
    host = parts.hostname or ""
    if parts.scheme == "http":
        return HTTPConnection(host, parts.port or 80, timeout=seconds)
    port = parts.port or 443
    if not proxy.serves(parts.scheme, host, port):
        return HTTPSConnection(host, port, timeout=seconds)
    connection = HTTPSConnection(*proxy.address, timeout=seconds)
    connection.set_tunnel(host, port, proxy.headers)
    return connection


@contextmanager
def _shut_down_at(deadline: float, sock: socket) -> Iterator[None]:
    """End a connection at the deadline, whoever reads from it: the timeout of a socket begins anew with every read."""
    timer = Timer(deadline - monotonic(), _shut_down, (sock,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shut_down(sock: socket) -> None:
    with suppress(OSError):  # the other side was faster
        sock.shutdown(SHUT_RDWR)
