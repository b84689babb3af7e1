"""The page at `/`: a small chat, served by the service it talks to."""

from pathlib import Path

from flask import Blueprint, Response, abort, send_from_directory

page = Blueprint("page", __name__)

_STATIC = Path(__file__).parent / "static"
_ASSETS = {"page.js": "text/javascript", "page.css": "text/css"}  # under `nosniff` a browser needs the exact type
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@page.get("/")
def index() -> Response:
    """The page itself."""
    return send_from_directory(_STATIC, "index.html", mimetype="text/html")


@page.get("/static/<name>")
def asset(name: str) -> Response:
    """The page's script and its style. Any other name is unknown, whatever lies in the folder."""
    if name not in _ASSETS:
        abort(404)
    return send_from_directory(_STATIC, name, mimetype=_ASSETS[name])


@page.after_request
def protect(response: Response) -> Response:
    """The page runs nothing but its own script and speaks to nobody but its own origin."""
    if response.status_code < 400:  # noqa: PLR2004 - an error has its own
        response.headers.update(_HEADERS)
    return response
