"""The page at `/`: a small chat client for this service."""

from pathlib import Path
from urllib.parse import quote

from flask import Blueprint, Response, abort, request, send_from_directory

page = Blueprint("page", __name__)

_STATIC = Path(__file__).parent / "static"
_TYPES = {".js": "text/javascript", ".css": "text/css"}  # under `nosniff` a browser needs the exact one
_ASSETS = ("page.js", "panel.js", "providers.js", "setting.js", "service.js", "stream.js", "page.css", "panel.css")
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


@page.before_app_request
def add_slash() -> Response | None:
    """Redirect from the bare prefix of a mounted service to the page at `PREFIX/`, whose links are relative.

    The redirect is relative, too: only a proxy in front knows the outer prefix and the scheme.
    """
    if request.environ.get("PATH_INFO"):
        return None
    return Response(status=308, headers={"Location": quote(request.root_path.rsplit("/", 1)[-1], safe="") + "/"})


@page.get("/static/<name>")
def asset(name: str) -> Response:
    """The scripts and styles of the page. Any other file in the folder is a 404."""
    if name not in _ASSETS:
        abort(404)
    return send_from_directory(_STATIC, name, mimetype=_TYPES[Path(name).suffix])


@page.after_request
def protect(response: Response) -> Response:
    """Add the security headers: the page runs only its own scripts and connects only to its own origin."""
    if response.status_code < 400:  # noqa: PLR2004 - an error has its own
        response.headers.update(_HEADERS)
    return response
