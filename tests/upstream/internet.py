"""The world beyond this machine, as a test wants it: what names lead to, and who answers at an address.

It stands in for the system's resolver and the kernel's routes, which are the far end of a connection.
"""

import ipaddress
import socket
from collections import defaultdict, deque
from contextlib import suppress
from typing import Any

import pytest

PUBLIC = "93.184.215.14"
ALSO_PUBLIC = "20.62.133.1"
PUBLIC_6 = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"


class Internet:
    """All names, and one server: whatever is connected to at port 443 is that one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._answers: dict[str, deque[list[str]]] = defaultdict(deque)
        self._connect = socket.socket.connect_ex
        self.server_port = 0
        self.refused: set[str] = set()
        """The addresses at which nobody answers."""
        self.asked: list[str] = []
        """The names that were looked up, in order."""
        self.reached: list[str] = []
        """The addresses that were connected to on port 443, in order."""
        monkeypatch.setattr(socket, "getaddrinfo", self._look_up)
        monkeypatch.setattr(socket.socket, "connect_ex", lambda *given: self._reach(*given))  # noqa: PLW0108 - a method

    def name(self, host: str, *answers: list[str]) -> None:
        """Have a name lead to these addresses at its first look-up, to the next ones at its second, and so on."""
        self._answers[host].extend(answers)

    def _look_up(self, host: str, port: int, *_: object, **__: object) -> list[tuple[Any, ...]]:
        if is_address(host):
            return found_at(port, host)
        self.asked.append(host)
        answers = self._answers[host]
        if not answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return found_at(port, *(answers.popleft() if len(answers) > 1 else answers[0]))

    def _reach(self, sock: socket.socket, where: tuple[Any, ...]) -> int:
        if where[1] != 443:  # a proxy on this machine
            return self._connect(sock, where)
        self.reached.append(where[0])
        here = "::ffff:127.0.0.1" if sock.family == socket.AF_INET6 else "127.0.0.1"
        return self._connect(sock, (here, 1 if where[0] in self.refused else self.server_port))


def is_address(host: str) -> bool:
    with suppress(ValueError):
        return bool(ipaddress.ip_address(host))
    return False


def found_at(port: int, *addresses: str) -> list[tuple[Any, ...]]:
    """Write what `getaddrinfo` returns."""
    return [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
        if ":" in address
        else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
        for address in addresses
    ]
