"""Every exception of a view -> a status, and JSON in the client's protocol.

The protocols write these bodies. `server.answers` sends them too, for what never becomes a request of Flask's.
"""

import logging
import re
import secrets

from flask import Flask, Response, g, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from ..failure import Code, Failure, Gone
from ..protocols import DEFAULT, ClientProtocol

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,128}")
_SENTENCES = {
    404: (Code.NOT_FOUND, "There is nothing at this address."),
    413: (Code.TOO_LARGE, "The request is too large."),
}

log = logging.getLogger(__name__)


class Application(Flask):
    """A Flask application whose views may raise `Gone`, a `BaseException`, for which Flask has no error handlers."""

    def dispatch_request(self) -> ResponseReturnValue:
        """Call the view of the request; turn `Gone` into a response."""
        try:
            return super().dispatch_request()
        except Gone as gone:
            return _tell_nobody(gone)


def register(app: Flask) -> None:
    """Answer every error of the application as JSON, and give every answer its request id."""
    app.register_error_handler(Failure, _tell)
    app.register_error_handler(HTTPException, _tell_http)
    app.register_error_handler(Exception, _tell_unhandled)
    app.after_request(_add_headers)


def request_id() -> str:
    """Return the id of the current request: from the header `X-Request-ID` of a proxy in front, or else a new one."""
    if "request_id" not in g:
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
    return str(g.request_id)


def _add_headers(response: Response) -> Response:
    response.headers["X-Request-ID"] = request_id()
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _tell(failure: Failure) -> Response:
    """Answer with a failure, in the protocol of the request, if one was chosen already."""
    protocol: ClientProtocol = g.get("protocol", DEFAULT)
    response = jsonify(protocol.refusal(failure, request_id()))
    response.status_code = failure.status
    response.headers.update(failure.headers)
    response.headers["Cache-Control"] = "no-store"
    return response


def _tell_nobody(gone: Gone) -> Response:
    """Answer a client that has left; only the server's access log shows it: 499, as in nginx."""
    response = jsonify(message="The connection was closed.", code=gone.outcome, requestId=request_id())
    response.status_code = 499
    response.headers["Cache-Control"] = "no-store"
    return response


def _tell_http(error: HTTPException) -> Response:
    if isinstance(error, MethodNotAllowed):
        methods = ", ".join(sorted(error.valid_methods or ()))
        return _tell(Failure(Code.METHOD, f"This address does not take {request.method}.", {"Allow": methods}))
    code, sentence = _SENTENCES.get(error.code or 500, (Code.BAD_BODY, "The request could not be understood."))
    return _tell(Failure(code, sentence, status=error.code))


def _tell_unhandled(error: Exception) -> Response:
    """Log an unhandled exception with its traceback, and answer 500."""
    log.error("Unhandled exception in request %s", request_id(), exc_info=error)
    return _tell(Failure(Code.INTERNAL, "An unexpected error occurred"))
