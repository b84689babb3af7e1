"""Playing a reply: its bytes onto a connection, in its time, to its end."""

import asyncio
import math
import socket
import struct
from collections.abc import Iterator
from email.utils import formatdate
from itertools import chain, cycle, islice
from typing import Protocol

from .desk import Note
from .reply import Reply, phrase
from .script import BYTE_CHUNK

_JOINED = 256
_RESET = struct.pack("ii", 1, 0)


class Line(Protocol):
    """What a reply is played on: `send` waits until the system has taken the bytes."""

    transport: asyncio.Transport

    async def send(self, data: bytes) -> None:
        """Write, and wait until the system has taken it."""


async def play(reply: Reply, note: Note | None, line: Line, *, keep_alive: bool) -> None:
    """Send a reply in its time, and leave the connection as its ending says."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(reply.late)
    await line.send(_head(reply, keep_alive=keep_alive))
    if note:
        note.answered = reply.status
    due = loop.time() + reply.slow
    for part in _parts(reply):
        await asyncio.sleep(due - loop.time())
        await _send_part(part, line, bytewise=reply.bytewise)
        # Late timers do not add up, and what a slow reader missed does not come in a burst.
        due = max(due + reply.pace, loop.time())
    await _end(reply, note, line, keep_alive=keep_alive)


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
    """Return the parts of the body, joined to few large ones where nothing comes between them."""
    parts = chain(reply.script.parts, cycle(reply.script.forever))
    if reply.pace:
        return parts
    batches = iter(lambda: tuple(islice(parts, _JOINED)), ())
    return (b"".join(batch) for batch in batches)


async def _send_part(part: bytes, line: Line, *, bytewise: bool) -> None:
    if not bytewise:
        await line.send(part)
        return
    for start in range(0, len(part), BYTE_CHUNK):
        await line.send(part[start : start + BYTE_CHUNK])
        await asyncio.sleep(0)  # one byte after the other for this reader, but not before all others


async def _end(reply: Reply, note: Note | None, line: Line, *, keep_alive: bool) -> None:
    ending = reply.script.ending
    if ending == "silence":
        await asyncio.sleep(math.inf)
    if ending == "clean" and keep_alive:
        return
    if note:
        note.close("server")
    if ending == "reset":
        line.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        line.transport.abort()
    else:
        line.transport.close()
