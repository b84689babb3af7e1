"""Secrets that are known again in whatever form they come out."""

import secrets
import string
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Collection, Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

SHOWN_CHARACTERS = 8
"""How much of a secret's start or end is too much: the last four may be shown to the owner."""

_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 32


class Canary(NamedTuple):
    """A secret: what it is, its value, and the part of that which is nowhere else."""

    name: str
    value: str
    mark: str


def canary(name: str, prefix: str = "") -> Canary:
    """Make a secret that looks like one of its kind; the mark is as random as the rest of a real one."""
    mark = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
    return Canary(name, prefix + mark, mark)


def known(name: str, value: str) -> Canary:
    """Take a secret that somebody else has made, which is a mark from end to end."""
    return Canary(name, value, value)


def found(data: bytes, canaries: Iterable[Canary]) -> list[str]:
    """Return what is in there: each secret, and in what form."""
    return [
        f"{canary.name}, {form}" for canary in canaries for form, shape in shapes(canary.mark).items() if shape in data
    ]


def found_in_files(folder: Path, canaries: Iterable[Canary], except_for: Collection[str] = ()) -> list[str]:
    """Search every file of a folder but for some, and the files' names."""
    wanted = list(canaries)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in except_for]
    return [f"{path.name}: {hit}" for path in files for hit in found(_content(path), wanted)]


def _content(path: Path) -> bytes:
    return path.name.encode() + b"\n" + path.read_bytes()


@cache
def shapes(mark: str) -> dict[str, bytes]:
    """Return what betrays a secret: its start or its end as they are, and either half in other writing."""
    start, end = mark[:SHOWN_CHARACTERS], mark[-SHOWN_CHARACTERS:]
    halves = {"first half": mark[: len(mark) // 2].encode(), "second half": mark[len(mark) // 2 :].encode()}
    written = {
        f"{half} as {writing}": written
        for half, raw in halves.items()
        for writing, write in _WRITINGS.items()
        if len(written := write(raw)) >= SHOWN_CHARACTERS
    }
    return {"start": start.encode(), "end": end.encode(), **written}


def _base64(skipped: int, encode: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Return what writes bytes as they are within the base64 of something longer, behind so many bytes more."""

    def write(raw: bytes) -> bytes:
        whole = (skipped + len(raw)) // 3 * 4
        return encode(b"\0" * skipped + raw)[-(-skipped * 8 // 6) : whole]

    return write


def _percent(raw: bytes) -> bytes:
    return "".join(f"%{byte:02x}" for byte in raw).encode()


_WRITINGS: dict[str, Callable[[bytes], bytes]] = {
    "a URL has it": lambda raw: quote(raw, safe="").encode(),
    "percents": _percent,
    "PERCENTS": lambda raw: _percent(raw).upper(),
    "hex": lambda raw: raw.hex().encode(),
    "HEX": lambda raw: raw.hex().upper().encode(),
    "UTF-16": lambda raw: raw.decode().encode("utf-16-le"),
    "\\u": lambda raw: "".join(f"\\u{byte:04x}" for byte in raw).encode(),
    **{f"base64 {skipped}": _base64(skipped, b64encode) for skipped in range(3)},
    **{f"base64url {skipped}": _base64(skipped, urlsafe_b64encode) for skipped in range(3)},
}
"""Each other way in which a secret may be written."""
