"""What gunicorn itself writes to a client: its error responses, as JSON, and each chunk, in one system call."""

import json
import secrets
from functools import partial
from http import HTTPStatus
from typing import Any

from gunicorn import util
from gunicorn.http import wsgi

from ..failure import Code, Failure
from ..protocols import DEFAULT

_SENTENCES = {
    414: "The address is too long.",
    431: "The request's headers are too large.",
    500: "An unexpected error occurred",
    501: "The request's transfer encoding is not supported.",
}


def install() -> None:
    """Replace gunicorn's functions for writing."""
    util.write_error = _write_error
    util.write = _write
    util.write_chunk = partial(_write, chunked=True)
    wsgi.Response.write = _write_body


def _write_error(sock: Any, status: int, _reason: str, _message: str) -> None:
    """Answer a malformed request, or an error outside the application, in the form of the application's errors."""
    message = _SENTENCES.get(status, "The request is not proper HTTP.")
    code = Code.INTERNAL if status == Code.INTERNAL.status else Code.BAD_BODY
    request_id = secrets.token_hex(16)
    body = json.dumps(DEFAULT.refusal(Failure(code, message, status=status), request_id))
    head = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        f"X-Request-ID: {request_id}",
    ]
    util.write_nonblock(sock, "\r\n".join([*head, "", body]).encode("latin-1"))


_write_as_gunicorn = wsgi.Response.write


def _write_body(response: Any, data: bytes) -> None:
    """Write a part of a body, with the first chunk also the headers."""
    is_first_chunk = type(response) is wsgi.Response and response.chunked and not response.headers_sent
    if not (is_first_chunk and data and type(data) is bytes):
        _write_as_gunicorn(response, data)
        return
    fields = [f"{name}: {value}\r\n" for name, value in response.headers]
    head = "".join([*response.default_headers(), *fields, "\r\n"]).encode("latin-1")
    response.headers_sent = True
    response.sent += len(data)
    _write(response.sock, head + b"%X\r\n%b\r\n" % (len(data), data))


def _write(sock: Any, data: bytes, chunked: bool = False) -> None:  # noqa: FBT001, FBT002 - gunicorn's own
    """Send in one system call; gunicorn needs several, as gevent's `sendall` first asks for the buffer's size."""
    if chunked:
        data = b"%X\r\n%b\r\n" % (len(data), data)
    sent = sock.send(data)
    if sent < len(data):
        sock.sendall(memoryview(data)[sent:])
