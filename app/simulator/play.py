"""Plays a reply: writes its bytes to a connection, with its delays and its ending."""

import asyncio
import math
import socket
import struct
from collections.abc import Iterator
from email.utils import formatdate
from itertools import chain, cycle, islice
from typing import Protocol

from .reply import Reply, phrase
from .router import LogEntry
from .script import BYTE_CHUNK

_JOINED = 256
_RESET = struct.pack("ii", 1, 0)


class Output(Protocol):
    """The connection that a reply is played on."""

    transport: asyncio.Transport

    async def send(self, data: bytes) -> None:
        """Write, and wait until the system has taken it."""


async def play(reply: Reply, entry: LogEntry | None, output: Output, *, keep_alive: bool) -> None:
    """Send a reply with its delays, then end the connection as its script says."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(reply.late)
    await output.send(_head(reply, keep_alive=keep_alive))
    if entry:
        entry.answered = reply.status
    due = loop.time() + reply.slow
    for part in _parts(reply):
        await asyncio.sleep(due - loop.time())
        await _send_part(part, output, bytewise=reply.bytewise)
        # A late timer delays only one part, and after a slow reader there is no burst.
        due = max(due + reply.pace, loop.time())
    await _end(reply, entry, output, keep_alive=keep_alive)


def _head(reply: Reply, *, keep_alive: bool) -> bytes:
    length = reply.script.length
    headers = {
        "date": formatdate(usegmt=True),
        **reply.headers,
        **({"transfer-encoding": "chunked"} if length is None else {"content-length": str(length)}),
        "connection": "keep-alive" if keep_alive else "close",
    }
    lines = [f"HTTP/1.1 {int(reply.status)} {phrase(reply.status)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _parts(reply: Reply) -> Iterator[bytes]:
    """Return the parts of the body, many joined into one where no pause comes between them."""
    parts = chain(reply.script.parts, cycle(reply.script.forever))
    if reply.pace:
        return parts
    batches = iter(lambda: tuple(islice(parts, _JOINED)), ())
    return (b"".join(batch) for batch in batches)


async def _send_part(part: bytes, output: Output, *, bytewise: bool) -> None:
    if not bytewise:
        await output.send(part)
        return
    for start in range(0, len(part), BYTE_CHUNK):
        await output.send(part[start : start + BYTE_CHUNK])
        await asyncio.sleep(0)  # byte by byte for this client, while other clients get their turn


async def _end(reply: Reply, entry: LogEntry | None, output: Output, *, keep_alive: bool) -> None:
    ending = reply.script.ending
    if ending == "silence":
        await asyncio.sleep(math.inf)
    if ending == "clean" and keep_alive:
        return
    if entry:
        entry.close("server")
    if ending == "reset":
        output.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        output.transport.abort()
    else:
        output.transport.close()
