"""CORS: which pages of other origins may call the service (https://fetch.spec.whatwg.org/#http-cors-protocol)."""

from flask import Flask, Response, request

PATHS = "/api/"
SECONDS = "7200"
"""How long a browser may cache the answer to a preflight; no browser does so for longer."""

_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, User-Agent, X-Request-ID",
    "Access-Control-Max-Age": SECONDS,
}
_READABLE = "X-Request-ID, X-Key-Source, Retry-After"


def register(app: Flask, origins: tuple[str, ...]) -> None:
    """Answer preflights, and tell browsers whether the page that asked may read an answer."""

    @app.before_request
    def preflight() -> Response | None:
        if request.method != "OPTIONS" or not request.path.startswith(PATHS):
            return None
        response = Response(status=204)
        del response.headers["Content-Type"]
        return response

    @app.after_request
    def allow(response: Response) -> Response:
        if request.path.startswith(PATHS):
            response.headers.update(_headers(request.headers.get("Origin"), origins, request.method))
            response.vary.add("Origin")
        return response


def _headers(origin: str | None, origins: tuple[str, ...], method: str) -> dict[str, str]:
    """Return the headers for an origin: empty if it is not allowed; cookies are allowed only if it is named."""
    if origin and origin != "*" and origin in origins:
        allowed = {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"}
    elif "*" in origins:
        allowed = {"Access-Control-Allow-Origin": "*"}
    else:
        return {}
    return {**allowed, "Access-Control-Expose-Headers": _READABLE, **(_PREFLIGHT if method == "OPTIONS" else {})}
