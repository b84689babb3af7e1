"""The keys with which an identity provider signs (RFC 7517): fetched with a deadline, kept, and refreshed.

Nothing is started before the first use, and so nothing before a server's fork. The fetch has a thread of its own, a
greenlet where gevent serves, because no library knows a deadline for the look-up of a name.
"""

import json
import logging
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed leaves it out

import httpcore2
from jwt import PyJWK, PyJWTError

from ..failure import Code, Failure

_MAX_BYTES = 256 * 1024
_MAX_KEYS = 100
_HEADERS = (("Accept", "application/json"), ("Accept-Encoding", "identity"), ("User-Agent", "sluice"))
_ALGORITHMS = (("RSA", None, "RS256"), ("EC", "P-256", "ES256"), ("OKP", "Ed25519", "EdDSA"))
"""The only kinds of key (`kty`, `crv`) that are used, each for one algorithm (RFC 7518, RFC 8037)."""

log = logging.getLogger(__name__)


class Pace(NamedTuple):
    """How often keys are fetched, in seconds."""

    deadline: float = 5
    """How long one fetch may take in all."""
    fresh: float = 300
    """After how long keys are fetched again, while those at hand are used."""
    pause: float = 60
    """How long after the last fetch an unknown key, or an old set of keys, may cause another."""
    retry: float = 5
    """The same, while there are no keys at all."""


class Way(NamedTuple):
    """The proxy over which `https` is reached, if any, and the hosts that are reached without it (`NO_PROXY`)."""

    proxy: str = ""
    exceptions: str = ""


class _Useless(Exception):
    """What came is no set of keys; the message says why, in our own words."""


_TROUBLES = (
    *(httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError, httpcore2.ProxyError),
    *(httpcore2.UnsupportedProtocol, OSError, ValueError, RecursionError, _Useless),
)


@dataclass
class _Fetch:
    started: float
    deadline: float
    ended: float | None = None
    done: Event = field(default_factory=Event)


_PACE, _DIRECT = Pace(), Way()


class Keys:
    """The keys behind one URL."""

    def __init__(self, url: str, pace: Pace = _PACE, way: Way = _DIRECT) -> None:
        """Take the URL; nothing is fetched yet."""
        self._url, self._pace, self._way = url, pace, way
        self._keys: tuple[PyJWK, ...] = ()
        self._fetched = 0.0
        self._fetch: _Fetch | None = None
        self._is_failing = False
        self._lock = Lock()  # held for a few instructions only, never while anything is waited for

    def find(self, kid: str | None, algorithm: str) -> PyJWK | None:
        """Return the key that a token names, or for a token that names none the only one that fits; None without one.

        An unknown key waits for the keys to be fetched again, though not more often than `Pace.pause`, whoever asks.
        Raises `Failure` 503 while no keys were ever fetched.
        """
        key = self._known(kid, algorithm)
        if key is None:
            self._wait(self._begin())
            key = self._known(kid, algorithm)
        elif monotonic() - self._fetched > self._pace.fresh:
            self._begin()
        if not self._keys:
            message = "Logins cannot be checked at the moment. Please try again."
            raise Failure(Code.AUTH_UNAVAILABLE, message)
        return key

    def _known(self, kid: str | None, algorithm: str) -> PyJWK | None:
        fitting = [key for key in self._keys if key.algorithm_name == algorithm and kid in (None, key.key_id)]
        return fitting[0] if fitting and (kid is not None or len(fitting) == 1) else None

    def _begin(self) -> _Fetch | None:
        """Return the fetch that is under way; begin one if there is none and enough time has passed."""
        now, last = monotonic(), self._fetch
        if last is not None and now >= last.deadline:
            self._end(last, (), TimeoutError())
        with self._lock:
            last = self._fetch
            if last is not None:
                if last.ended is None:
                    return last
                if now < (last.started + self._pace.pause if self._keys else last.ended + self._pace.retry):
                    return None
            fetch = self._fetch = _Fetch(now, now + self._pace.deadline)
        try:
            Thread(target=self._run, args=(fetch,), daemon=True).start()
        except RuntimeError as error:  # the system gives no more threads
            self._end(fetch, (), error)
        return fetch

    def _wait(self, fetch: _Fetch | None) -> None:
        if fetch is not None and not fetch.done.wait(max(fetch.deadline - monotonic(), 0)):
            self._end(fetch, (), TimeoutError())

    def _run(self, fetch: _Fetch) -> None:
        try:
            keys = _usable(_download(self._url, self._way, fetch.deadline))
        except _TROUBLES as error:
            self._end(fetch, (), error)
        else:
            self._end(fetch, keys, None)

    def _end(self, fetch: _Fetch, keys: tuple[PyJWK, ...], error: Exception | None) -> None:
        """Take the keys, or keep those of before; nothing of a fetch that was given up."""
        with self._lock:
            if fetch.ended is not None:
                return
            fetch.ended = monotonic()
            has_changed, self._is_failing = self._is_failing != bool(error), bool(error)
            if error is None:
                self._keys, self._fetched = keys, fetch.ended
        if has_changed and error is None:
            log.warning("The keys of AUTH_JWKS_URL can be fetched again.")
        elif has_changed:
            until = "those of before are used" if self._keys else "nobody can log in with them"
            log.warning("The keys of AUTH_JWKS_URL cannot be fetched (%s): until they can, %s.", _reason(error), until)
        fetch.done.set()


def _reason(error: Exception | None) -> str:
    """Name what went wrong, not in other people's words: those may hold the address, and that a secret."""
    if isinstance(error, _Useless):
        return str(error)
    causes = error.args if error else ()  # the library's errors hold the system's
    return type(causes[0] if causes and isinstance(causes[0], Exception) else error).__name__


def _usable(body: bytes) -> tuple[PyJWK, ...]:
    """Return the keys of a set that can be used; all others are passed over (RFC 7517, section 5)."""
    found = json.loads(body)
    listed = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(listed, list):
        raise _Useless("what came is no set of keys")
    keys = tuple(key for item in listed[:_MAX_KEYS] if isinstance(item, dict) and (key := _key(item)))
    if not keys:
        raise _Useless("none of its keys can be used")
    return keys


def _key(item: dict[str, Any]) -> PyJWK | None:
    """Make one key, bound to its algorithm; None for a secret one, one for other ends, and one too weak to trust."""
    fitting = [name for kty, crv, name in _ALGORITHMS if item.get("kty") == kty and item.get("crv") == crv]
    operations = item.get("key_ops", ["verify"])
    is_for_signatures = item.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    if not fitting or item.get("alg", fitting[0]) != fitting[0] or not is_for_signatures or "d" in item:
        return None
    try:
        key = PyJWK(item, fitting[0])
    except (PyJWTError, ValueError, TypeError):
        return None
    return None if key.Algorithm.check_key_length(key.key) else key


def _download(url: str, way: Way, deadline: float) -> bytes:
    """Return what is at a URL, and nowhere that it redirects to."""
    is_tls = urlsplit(url).scheme == "https"
    pool = httpcore2.ConnectionPool(
        ssl_context=ssl.create_default_context() if is_tls else None,
        proxy=_proxy(url, way) if is_tls else None,
        network_backend=_Hurry(deadline),
    )
    with pool, pool.stream("GET", url, headers=_HEADERS) as response:
        if response.status != 200:  # noqa: PLR2004
            raise _Useless(f"the answer has the status {response.status}")
        body = b""
        for part in response.iter_stream():
            body += part
            if len(body) > _MAX_BYTES:
                raise _Useless("the answer is too long")
    return body


def _proxy(url: str, way: Way) -> httpcore2.Proxy | None:
    parts, proxy = urlsplit(url), urlsplit(way.proxy)
    asked = f"{parts.hostname}:{parts.port or 443}"
    if not way.proxy or proxy_bypass_environment(asked, {"no": way.exceptions}):
        return None
    auth = (unquote(proxy.username), unquote(proxy.password or "")) if proxy.username is not None else None
    return httpcore2.Proxy(f"http://{proxy.netloc.rpartition('@')[2]}", auth)


class _Hurry(httpcore2.NetworkBackend):
    """Connections on which everything has one deadline: a library's own timeouts begin anew with every read."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the interface's own
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect; each address of a name may take what is left of the time."""
        seconds = _left(self._deadline)
        stream = httpcore2.SyncBackend().connect_tcp(host, port, seconds, local_address, socket_options)
        return _HurriedStream(stream, self._deadline)


class _HurriedStream(httpcore2.NetworkStream):
    def __init__(self, stream: httpcore2.NetworkStream, deadline: float) -> None:
        self._stream, self._deadline = stream, deadline
        self.close = stream.close  # type: ignore[method-assign]
        self.get_extra_info = stream.get_extra_info  # type: ignore[method-assign]

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - the interface's own
        return self._stream.read(max_bytes, _left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - the interface's own
        self._stream.write(buffer, _left(self._deadline))

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002 - the interface's own
    ) -> httpcore2.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, _left(self._deadline))
        return _HurriedStream(stream, self._deadline)


def _left(deadline: float) -> float:
    """Return how many seconds are left. Raises `TimeoutError` when none are."""
    if (seconds := deadline - monotonic()) <= 0:
        raise TimeoutError
    return seconds
