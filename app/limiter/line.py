"""A line to Redis that holds nobody for long."""

import socket
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread, local
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from redis import ConnectionPool, Redis, RedisError, TimeoutError  # noqa: A004 - Redis's own
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..config import SettingError

TURN_SECONDS, TURNS = 0.02, 4
"""How long an answer is waited for: 80 ms, in turns. Where something else held up the event loop for all that time,
the answer may be here, and the next turn finds it."""
SOCKET_SECONDS = 1
"""After how long a silent connection is closed; nobody waits for that."""
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}


class Line(Redis):
    """A client with one connection, over which the commands of one moment go together.

    A thread sends them, and ends when there are none. So nothing holds a caller for longer than it waits, not even a
    resolver, which knows no deadline; and a caller who is interrupted leaves no answer half read.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        """Take what makes the connection."""
        super().__init__(connection_pool=pool)
        self._lock = Lock()
        self._waiting: list[_Command] = []
        self._is_sending = False
        self._patience = local()

    def begin(self) -> None:
        """Begin the time that all commands of this thread's may take from now on."""
        self._patience.turns = TURNS

    def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - the library's
        """Send a command and wait for its answer. Raises `RedisError`."""
        command = _Command(args, options, SimpleQueue())
        with self._lock:
            self._waiting.append(command)
            is_sending, self._is_sending = self._is_sending, True
        if not is_sending:
            self._start_sending()
        answer = self._wait(command)
        try:
            if isinstance(answer, RedisError):
                raise answer.with_traceback(None)
            return answer
        finally:
            del answer  # An error and its traceback hold each other, and with them the connection.

    def _wait(self, command: "_Command") -> Any:  # noqa: ANN401 - what Redis answers
        while self._patience.turns:
            try:
                return command.answer.get(timeout=TURN_SECONDS)
            except Empty:
                self._patience.turns -= 1
        with self._lock, suppress(ValueError):  # which says that it was sent
            self._waiting.remove(command)
        raise TimeoutError("it did not answer in time")

    def _start_sending(self) -> None:
        try:
            Thread(target=self._send, daemon=True).start()
        except RuntimeError as error:
            self._is_sending = False
            raise RedisError("no thread could be started for it") from error

    def _send(self) -> None:
        while commands := self._next():
            for command, answer in zip(commands, self._answers(commands), strict=True):
                command.answer.put(answer)

    def _next(self) -> "list[_Command]":
        with self._lock:
            commands, self._waiting = self._waiting, []
            self._is_sending = bool(commands)
            return commands

    def _answers(self, commands: "list[_Command]") -> list[Any]:
        """Return what Redis answers to each, or the error."""
        pipeline: Any = self.pipeline(transaction=False)  # whose methods have no types
        for command in commands:
            pipeline.execute_command(*command.arguments, **command.options)
        try:
            answers: list[Any] = pipeline.execute(raise_on_error=False)
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is awaited
            return [RedisError(str(error) or type(error).__name__) for _ in commands]
        return answers


class _Command(NamedTuple):
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    answer: SimpleQueue[Any]


def pool(url: str, *, verify: bool) -> ConnectionPool:
    """Return what makes connections to a URL's Redis; it makes none yet. Raises `SettingError`."""
    options = {
        "socket_timeout": SOCKET_SECONDS,
        "socket_connect_timeout": SOCKET_SECONDS,
        "socket_keepalive": True,  # A connection that a firewall has forgotten is found dead before it is used.
        "socket_keepalive_options": {getattr(socket, k): v for k, v in _KEEPALIVE.items() if hasattr(socket, k)},
        "retry": Retry(NoBackoff(), 0),
        "driver_info": None,  # It would cost two round trips to tell.
    }
    with suppress(TypeError, ValueError, RedisError):  # whose texts may quote the URL, password and all
        parts = urlsplit(url)
        if parts.scheme in {"redis", "rediss"} and parts.hostname:
            if parts.scheme == "rediss" and not verify:
                options |= {"ssl_cert_reqs": "none", "ssl_check_hostname": False}
            found = ConnectionPool.from_url(url, **options)
            found.connection_class(**found.connection_kwargs)  # It knows what options a URL may bring.
            return found
    raise SettingError("REDIS_URL must be an address like redis://:password@redis.example:6379/0.")
