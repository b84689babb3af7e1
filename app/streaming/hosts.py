"""The differences of WSGI servers: the client's socket, how a cut becomes visible, concurrency, the stop signal."""

import _thread
import errno
import fcntl
import logging
import os
import signal
import socket
import struct
import sys
import termios
import threading
from collections.abc import Callable, Mapping
from time import monotonic, sleep
from types import FrameType
from typing import Any

from gevent.monkey import is_module_patched

FLUSH_SECONDS = 1
"""How long a cut answer waits until the client has its last bytes; a reset would discard them."""

Environ = Mapping[str, Any]

log = logging.getLogger(__name__)

_PROPER_END = "It ends an answer properly although it was cut, so that a cut text looks whole but for its last line."
_NO_FRAME = "Over HTTP/1.0 a cut text looks whole but for its last line. A proxy in front has to speak HTTP/1.1."
_ONE_AT_A_TIME = "It answers one request at a time in each process, so that one chat holds up everybody else."
_settled: set[str] = set()
"""The sentences that were logged, or do not apply to this server."""


class Client:
    """The connection to one client: its socket, if the server gives access to it, and how to make a cut visible.

    A server that frames an answer (chunked, HTTP/2) leaves out the end of the frame when the application raises.
    Without a frame, closing means the end of a whole answer, and only a TCP reset shows a cut. A chat calls, in order:

    | when                            | of its `Watch`    | of its `Client`         |
    |---------------------------------|-------------------|-------------------------|
    | before the provider is asked    | `start`           | `limit_writes`          |
    | before the first byte goes out  |                   | `begin`                 |
    | the client left, under gevent   | `tell_disconnect` | `begin`, if it was not  |
    | the process must end            | `interrupt`       |                         |
    | then one: the answer is whole   |                   | `end`                   |
    | or: it failed                   | `cut`             | `flush`, `cut`          |
    | or: the client left             | `cut`             | `cut`                   |
    | at last, in all cases           | `stop`            | `close`                 |
    """

    def __init__(self, environ: Environ) -> None:
        """Find the client of a request. Raises `OSError` (EBADF) if the server has closed the socket already."""
        self.socket, self._is_copy = _socket(environ)
        self._timeout = None if self.socket is None else self.socket.gettimeout()
        self._has_tcp = self.socket is not None and self.socket.family in (socket.AF_INET, socket.AF_INET6)
        self._resets = self._has_tcp and not _is_framed(environ)
        self.shows_cuts = _is_framed(environ) or (self._has_tcp and not _is_routed(environ))
        self._environ = environ

    def limit_writes(self, seconds: float) -> None:
        """Break the connection when the client reads nothing for so many seconds."""
        if self._has_tcp and hasattr(socket, "TCP_USER_TIMEOUT"):
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))
        elif self.socket is not None and not self._is_copy:
            self.socket.settimeout(seconds)

    def begin(self) -> None:
        """From now on, any close of the socket is a TCP reset, also by the kernel when the process is killed."""
        if self._resets:
            self._linger(on=True)

    def end(self) -> None:
        """The answer is complete: from now on, closing the socket is a normal end."""
        if self._resets:
            self._linger(on=False)

    def flush(self) -> None:
        """Wait until the client has all bytes, if the cut will be a reset, which discards unsent ones."""
        deadline = monotonic() + FLUSH_SECONDS
        while self._resets and _unacknowledged(self.socket) and monotonic() < deadline:
            sleep(0.005)

    def cut(self) -> None:
        """End the connection without the end of the answer. Raises the exception that the server does not log.

        Returns if the server would end the answer properly after any exception. The socket is closed here because some
        servers shut a connection down (FIN) before they close it.
        """
        if self._resets:
            self.socket.close()
        if (error := _error(self._environ)) is not None:
            raise error(errno.ECONNRESET, "the answer was cut") from None

    def close(self) -> None:
        """Close a copied socket, or restore the timeout of the server's own."""
        if self._is_copy:
            self.socket.close()
        elif self.socket is not None and not self._has_tcp:
            self.socket.settimeout(self._timeout)

    def _linger(self, *, on: bool) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", on, 0))


def warn(environ: Environ, client: Client) -> None:
    """Log each promise that this server cannot keep, once in a process."""
    if _ONE_AT_A_TIME not in _settled:  # the first chat; all others have the same server
        _settle(_ONE_AT_A_TIME, applies=_is_one_at_a_time(environ))
    if not client.shows_cuts:
        _settle(_PROPER_END if _swallows(environ) else _NO_FRAME, applies=True)


def _settle(sentence: str, *, applies: bool) -> None:
    if applies and sentence not in _settled:
        log.warning("Server: %s See docs/hosting.md.", sentence)
    _settled.add(sentence)


def on_stop(drain: Callable[[], object]) -> None:
    """Call `drain` in a thread when the server is told to stop. To be called from the main thread.

    The server's own handler of SIGTERM is called as well, at once or after `drain`; without a handler, the signal then
    has its default effect. uWSGI handles signals outside of Python. Under gevent, Sluice's gunicorn worker drains.
    """
    if mod_wsgi := sys.modules.get("mod_wsgi"):
        mod_wsgi.subscribe_shutdown(lambda *_, **__: _thread.start_new_thread(drain, ()))
    elif _handles_sigterm() and not (is_module_patched("socket") or "uwsgi" in sys.modules):
        _Sigterm(drain)


def _handles_sigterm() -> bool:
    """Tell whether a handler can be set here, and the present one can be called from Python."""
    return threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is not None


class _Sigterm:
    """A handler of SIGTERM that wraps the previous one.

    gunicorn's is called at once: it accepts no more connections, and waits for chats. Any other may end the process,
    so it is called after the drain.
    """

    def __init__(self, drain: Callable[[], object]) -> None:
        self._drain = drain
        self._is_told = self._is_over = False
        self._before = signal.getsignal(signal.SIGTERM)
        self._waits = (getattr(self._before, "__module__", None) or "").startswith("gunicorn")
        signal.signal(signal.SIGTERM, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self._is_told:
            self._is_told = True
            _thread.start_new_thread(self._finish, ())
        if not (self._waits or self._is_over):
            return
        if callable(self._before):
            self._before(number, frame)
        elif self._before == signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _finish(self) -> None:
        self._drain()
        self._is_over = True
        if not self._waits:
            os.kill(os.getpid(), signal.SIGTERM)


def _socket(environ: Environ) -> tuple[Any, bool]:
    """Return the client's socket, or None, and whether it is a copy (`dup`), which has to be closed."""
    if (own := environ.get("gunicorn.socket") or environ.get("werkzeug.socket")) is not None:
        return own, False
    if "uwsgi.version" in environ:
        return socket.socket(fileno=os.dup(sys.modules["uwsgi"].connection_fd())), True
    if (channel := _waitress(environ)) is not None:
        return channel.socket.dup(), True
    return None, False


def _waitress(environ: Environ) -> Any:  # noqa: ANN401 - an object of waitress's
    """Return the channel of waitress, which puts one of its methods into the environ."""
    return getattr(environ.get("waitress.client_disconnected"), "__self__", None)


def _is_framed(environ: Environ) -> bool:
    """Tell whether an answer is framed, so that the server leaves out the frame's end when the application raises."""
    if "werkzeug.socket" in environ and not (environ["wsgi.multithread"] or environ["wsgi.multiprocess"]):
        return False  # it then speaks HTTP/1.0 to every client
    return environ.get("SERVER_PROTOCOL") != "HTTP/1.0" and not _swallows(environ)


def _swallows(environ: Environ) -> bool:
    """Tell whether the server ends an answer properly even when the application raises, or does not frame it.

    These are uWSGI, Passenger, mod_wsgi in daemon mode, and the standard library (Django's `runserver`).
    """
    return (
        "uwsgi.version" in environ
        or "passenger.hijack" in environ
        or bool(environ.get("mod_wsgi.process_group"))
        or str(environ.get("SERVER_SOFTWARE")).startswith("WSGIServer/")
    )


def _is_routed(environ: Environ) -> bool:
    """Tell whether uWSGI's own router (`http = ...`) is in front, which does not pass on a reset."""
    return "uwsgi.version" in environ and not {"http", "https"}.isdisjoint(sys.modules["uwsgi"].opt)


def _error(environ: Environ) -> Any:  # noqa: ANN401 - a class of the server's
    """Return the exception that the server takes for a disconnect of the client, or None if there is no use in one."""
    if _swallows(environ):
        return None
    if _waitress(environ) is not None:
        return sys.modules["waitress.channel"].ClientDisconnected
    return ConnectionResetError


def _unacknowledged(sock: Any) -> int:  # noqa: ANN401 - a server's socket, under gevent or not
    """Return how many bytes the client has not acknowledged (TCP)."""
    try:
        return int(struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))[0])
    except OSError:
        return 0


def _is_one_at_a_time(environ: Environ) -> bool:
    """Tell whether one chat blocks its process. A server with one thread may still report `wsgi.multithread`."""
    if (channel := _waitress(environ)) is not None:
        return bool(channel.server.adj.threads == 1)
    if environ.get("wsgi.multithread"):
        return "gunicorn.socket" in environ and _pool_size() == 1
    return "gunicorn.socket" in environ or not is_module_patched("socket")


def _pool_size() -> int:
    """Return the size of this thread's pool, or 0: the only way to see how many threads gunicorn has."""
    executor = next(iter(getattr(threading.current_thread(), "_args", ())), None)
    return int(getattr(executor() if callable(executor) else None, "_max_workers", 0))


NOBODY = Client({})
"""A client without a known socket."""
