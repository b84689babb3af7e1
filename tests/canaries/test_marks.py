"""The search itself: it finds a secret in every writing, and finds nothing where none is."""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.canaries.marks import canary, found, found_in_files, known

WRITINGS: dict[str, Callable[[str], bytes]] = {
    "as it is": str.encode,
    "its start": lambda value: f"{value[:16]}***".encode(),
    "its end": lambda value: f"***{value[-8:]}".encode(),
    "its last four, and four more": lambda value: f"{value[-8:-4]}{value[-4:]}".encode(),
    "in a URL": lambda value: quote(value).encode(),
    "in percents": lambda value: "".join(f"%{byte:02X}" for byte in value.encode()).encode(),
    "in JSON": lambda value: json.dumps(value).encode(),
    "in escapes": lambda value: "".join(f"\\u{ord(letter):04x}" for letter in value).encode(),
    "in hex": lambda value: value.encode().hex().encode(),
    "in UTF-16": lambda value: value.encode("utf-16"),
    "in base64": lambda value: b64encode(value.encode()),
    "in base64 behind a byte": lambda value: b64encode(f"x{value}y".encode()),
    "in base64 behind two bytes": lambda value: b64encode(f"xx{value}".encode()),
    "in a URL's base64": lambda value: urlsafe_b64encode(f"user:{value}".encode()),
    "the first half in base64": lambda value: b64encode(value[:24].encode()),
}


@pytest.mark.parametrize("writing", WRITINGS)
@pytest.mark.parametrize("prefix", ["sk-proj-", ""])
def test_a_secret_is_found_however_it_is_written(writing: str, prefix: str, tmp_path: Path) -> None:
    secret, other = canary("one", prefix), canary("another", prefix)
    data = b"before" + WRITINGS[writing](secret.value) + b"after"
    assert found(data, [secret])
    assert not found(data, [other])
    (tmp_path / "file").write_bytes(data)
    assert found_in_files(tmp_path, [other, secret])
    assert not found_in_files(tmp_path, [secret], except_for=["file"])


def test_the_last_four_characters_of_a_secret_may_be_shown() -> None:
    secret = canary("one")
    assert not found(secret.value[-4:].encode(), [secret])


def test_a_secret_of_other_people_s_making_is_found_as_a_url_has_it() -> None:
    password = known("a password", "canary%8@stores")
    assert found(b"postgres://me:canary%258%40stores@host/", [password])
    assert found(b"postgres://me:canary%8@stores@host/", [password])
