"""A provider that shows the key which it was asked with, in every place of an answer where it can."""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from tests.far import Far, Peer
from tests.far.scripts import CHUNKED, DONE, LAST, chunk, delta, event, stop

ANSWER = "What the mirror says."

_CONNECTIONS = 10_000
"""More than there will be."""

_OK = (delta(ANSWER), stop(), DONE)

Echo = Callable[[str, bytes], bytes]
"""Takes the key and the request's head; returns an answer in which both may be."""


def _whole(status: int, body: bytes, *headers: str, kind: str = "application/json", reason: str = "Whatever") -> bytes:
    lines = [f"HTTP/1.1 {status} {reason}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _json(**members: object) -> bytes:
    return json.dumps(members).encode()


def _says(message: str, **more: str) -> bytes:
    return _json(error={"message": message, **more})


def _streamed(*events: bytes) -> bytes:
    return CHUNKED + b"".join(map(chunk, events)) + LAST


def _html(key: str) -> bytes:
    return f"<html><body><h1>The key {key} is not one of ours.</h1></body></html>".encode()


def _reported(key: str, head: bytes) -> bytes:
    return event(error={"message": f"No luck with {key}: {head.decode()}", "code": key, "param": key})


def _ended(key: str) -> bytes:
    usage = {"prompt_tokens": 3, key: 4, "details": {key: 5, "key": key}, "key": key}
    return event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}], usage=usage, id=key, model=key)


REFUSALS: dict[str, Echo] = {
    "400 with the key": lambda key, _: _whole(400, _says(f"The key '{key}' (yes, {key}) cannot do this.")),
    "400 with half of the key": lambda key, _: _whole(400, _says(f"Not with {key[:16]}***{key[-4:]}.")),
    "400 with the request": lambda _, head: _whole(400, _says(head.decode())),
    "400 with a list": lambda key, _: _whole(400, _json(detail=[{"loc": ["body", key], "msg": key}])),
    "400 with the key as the error": lambda key, _: _whole(400, _json(error=key)),
    "400 with the key as its code": lambda key, _: _whole(400, _says("No.", code=key, type=key, param=key)),
    "401": lambda key, _: _whole(401, _says(f"Incorrect API key provided: {key}."), f"WWW-Authenticate: Bearer {key}"),
    "403 of HTML": lambda key, _: _whole(403, _html(key), kind="text/html"),
    "404 with the address": lambda key, head: _whole(404, _says(f"{key} {head.decode()}" * 20)),
    "422 in plain text": lambda key, _: _whole(422, key.encode(), kind="text/plain"),
    "429 with the key everywhere": lambda key, _: _whole(
        429,
        _says(f"Slow down, {key}!"),
        *(f"{name}: {key}" for name in ("Retry-After", "X-Request-ID", "Set-Cookie", "X-Key-Source", "Server", key)),
    ),
    "500 with broken JSON": lambda key, _: _whole(500, b'{"error": {"message": "' + key.encode()),
    "503 with a reason": lambda key, _: _whole(503, b"", reason=f"Not for {key}"),
    "307 with the key": lambda key, _: _whole(307, b"", f"Location: http://127.0.0.1:9/{key}?key={key}"),
    "what is not HTTP": lambda key, _: f"HTTP/1.1 {key}\r\n\r\n".encode(),
    "a header that is none": lambda key, _: f"HTTP/1.1 200 OK\r\n{key}\r\n\r\n".encode(),
    "a length that is none": lambda key, _: f"HTTP/1.1 200 OK\r\nContent-Length: {key}\r\n\r\n".encode(),
    "a chunk that is none": lambda key, _: CHUNKED + f"{key}\r\n\r\n".encode(),
    "an encoding": lambda key, _: _whole(200, b"", f"Content-Encoding: {key}"),
    "200 of HTML": lambda key, _: _whole(200, _html(key), kind="text/html"),
    "200 with an error": lambda key, _: _whole(200, _says(f"No luck with {key}.")),
    "an event that is no JSON": lambda key, _: _streamed(f"data: {key}\n\n".encode(), delta(ANSWER), stop(), DONE),
    "an error first": lambda key, head: _streamed(_reported(key, head)),
}
"""Answers that are an error before anything else is sent."""

CUTS: dict[str, Echo] = {
    "an error in mid-answer": lambda key, head: _streamed(delta(ANSWER), _reported(key, head)),
    "no JSON in mid-answer": lambda key, _: _streamed(delta(ANSWER), f'data: {{"{key}\n\n'.encode(), stop(), DONE),
    "no UTF-8 in mid-answer": lambda key, _: _streamed(delta(ANSWER), f"data: {key}".encode() + b"\xff\n\n", DONE),
    "no chunk in mid-answer": lambda key, _: CHUNKED + chunk(delta(ANSWER)) + f"{key}\r\n".encode(),
}
"""Answers that break off behind their text."""

WHOLE: dict[str, Echo] = {
    "the key in the usage": lambda key, _: _streamed(delta(ANSWER), _ended(key), DONE),
    "the key for a reason": lambda key, _: _streamed(delta(ANSWER), stop(key), DONE),
    "the key in a comment": lambda key, _: _streamed(f": {key}\nevent: {key}\nid: {key}\n{key}\n\n".encode(), *_OK),
    "the key beside the text": lambda key, _: _streamed(event(choices=[], id=key, system_fingerprint=key), *_OK),
    "the key in a trailer": lambda key, _: _streamed(*_OK)[: -len(LAST)] + f"0\r\nX-Key: {key}\r\n\r\n".encode(),
}
"""Answers with which nothing is wrong, but that the key is in them where no text is."""

ECHOES = {**REFUSALS, **CUTS, **WHOLE}


class Mirror:
    """The provider, for as many connections as come. A request says by its model how it wants to be answered.

    As a proxy, it refuses with all that it was told.
    """

    def __init__(self) -> None:
        self._server = Far().play(*[self._serve] * _CONNECTIONS)
        self.url = self._server.url
        self.origin = self.url.removesuffix("/v1")
        self.said = next(iter(REFUSALS))
        """How a request without a model, for a list of them, is answered."""

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()

    def asked_with(self, secret: str) -> int:
        """Count the requests in which this was."""
        return sum(secret.encode() in request for request in self._server.requests())

    def _serve(self, peer: Peer) -> None:
        """Answer a connection's requests one after the other."""
        with suppress(ConnectionError):
            while True:
                head, _, body = peer.request().partition(b"\r\n\r\n")
                if head.startswith(b"CONNECT"):
                    peer.send(head.replace(b"CONNECT", b"HTTP/1.1 407 Not for") + b"\r\n\r\n" + head)
                    return
                model = re.search(rb'"model": ?"([^"]+)"', body)
                peer.send(ECHOES[model[1].decode() if model else self.said](_key(head), head))


def _key(head: bytes) -> str:
    found = re.search(rb"(?mi)^(?:authorization: bearer|api-key:) (\S+)", head)
    assert found, head
    return found[1].decode()
