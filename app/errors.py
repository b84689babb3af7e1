"""Every exception -> `{"message", "code", "requestId"}` and a status; nothing else makes an error body."""

import logging
import re
import secrets

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from .answer import Failure, Gone

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,128}")
_SENTENCES = {404: ("not_found", "There is nothing at this address."), 413: ("too_large", "The request is too large.")}

log = logging.getLogger(__name__)


def register(app: Flask) -> None:
    """Answer every error of the application as JSON, and give every answer its request id."""
    app.register_error_handler(Failure, _tell)
    app.register_error_handler(Gone, _tell_nobody)
    app.register_error_handler(HTTPException, _tell_http)
    app.register_error_handler(Exception, _tell_bug)
    app.after_request(_add_headers)


def request_id() -> str:
    """Return the id of the current request: the one that a proxy in front gave it, else a new one."""
    if "request_id" not in g:
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
    return str(g.request_id)


def _add_headers(response: Response) -> Response:
    response.headers["X-Request-ID"] = request_id()
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _tell(failure: Failure) -> Response:
    response = jsonify(message=failure.message, code=failure.code, requestId=request_id())
    response.status_code = failure.status
    response.headers.update(failure.headers)
    response.headers["Cache-Control"] = "no-store"
    return response


def _tell_nobody(gone: Gone) -> Response:
    """Answer a reader who has left, for the server's record only: 499, as nginx has it."""
    return _tell(Failure(499, gone.outcome, "The connection was closed."))


def _tell_http(error: HTTPException) -> Response:
    if isinstance(error, MethodNotAllowed):
        methods = ", ".join(sorted(error.valid_methods or ()))
        return _tell(Failure(405, "method", f"This address does not take {request.method}.", {"Allow": methods}))
    code, sentence = _SENTENCES.get(error.code or 500, ("bad_body", "The request could not be understood."))
    return _tell(Failure(error.code or 500, code, sentence))


def _tell_bug(error: Exception) -> Response:
    """Log what only we can mend; the client learns that it was not its fault."""
    log.error("A mistake of ours in request %s", request_id(), exc_info=error)
    return _tell(Failure(500, "internal", "An unexpected error occurred"))
