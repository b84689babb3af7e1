"""What the kernel knows of the service's sockets, so that nobody has to ask the service."""

import socket
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tests.processes import Service, opened

ESTABLISHED, CONNECTING = "01", "02"
"""States of a TCP connection in /proc/net/tcp."""


class Row(NamedTuple):
    """One TCP socket of this machine."""

    local: int
    remote: int
    state: str
    inode: str


def rows(port: int) -> list[Row]:
    """Return the sockets of a port, on either side; there may be thousands of others."""
    sought = f":{port:04X} "
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines() if sought in line]
    return [Row(_port(line[1]), _port(line[2]), line[3], line[9]) for line in lines]


def connecting(port: int) -> bool:
    """Tell whether somebody is trying to connect to a port."""
    return any(row.remote == port and row.state == CONNECTING for row in rows(port))


def connected(port: int, client_port: int) -> bool:
    """Tell whether the service's side of a client's connection is still open."""
    return any((row.local, row.remote, row.state) == (port, client_port, ESTABLISHED) for row in rows(port))


def listening(port: int) -> bool:
    """Tell whether somebody accepts connections, or at least lets them wait."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def worker_of(service: Service, client_port: int) -> int | None:
    """Return the worker that has accepted a client's connection."""
    inodes = {f"socket:[{row.inode}]" for row in rows(client_port) if row.local == service.port}
    for worker in service.pids()[1:]:
        with suppress(FileNotFoundError):
            if not inodes.isdisjoint(opened(worker)):
                return worker
    return None


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)
