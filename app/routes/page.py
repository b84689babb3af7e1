"""The page at `/`: a small chat, served by the service it talks to."""

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
    """Lead from the bare prefix of a service that is mounted below one to the page, whose addresses are relative.

    So is this one: what the prefix is called outside, and over which scheme, only a proxy in front knows.
    """
    if request.environ.get("PATH_INFO"):
        return None
    return Response(status=308, headers={"Location": quote(request.root_path.rsplit("/", 1)[-1], safe="") + "/"})


@page.get("/static/<name>")
def asset(name: str) -> Response:
    """The page's scripts and its styles. Any other name is unknown, whatever lies in the folder."""
    if name not in _ASSETS:
        abort(404)
    return send_from_directory(_STATIC, name, mimetype=_TYPES[Path(name).suffix])


@page.after_request
def protect(response: Response) -> Response:
    """The page runs nothing but its own script and speaks to nobody but its own origin."""
    if response.status_code < 400:  # noqa: PLR2004 - an error has its own
        response.headers.update(_HEADERS)
    return response
