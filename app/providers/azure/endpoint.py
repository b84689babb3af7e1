"""An endpoint, as people paste it from portal and sample code -> the address of the resource, and an API version."""

import re
from urllib.parse import quote

_PATH = re.compile(
    r"(?: /api/projects/[^/]+ )?"
    r"(?: /openai (?: / (?: v1 | deployments | responses | models ) (?: /.* )? )?"
    r"  | /v1 (?: / (?: (?: chat/ )? completions | responses | models ) )? )? /* \Z",
    re.VERBOSE | re.IGNORECASE,
)
"""The path behind a resource's address, of a project or an operation, as portal and sample code show it."""
_VERSION = re.compile(r"(?:^|&)api-version=([A-Za-z0-9.-]{1,40})(?:&|\Z)", re.IGNORECASE)
_MORE = re.compile(r"#|\?(?!api-version=[A-Za-z0-9.-]{1,40}\Z).", re.IGNORECASE)


def read(pasted: str) -> tuple[str, str]:
    """Return the address of the resource itself, below which all paths are known, and the version if it has one."""
    address, _, query = pasted.partition("#")[0].partition("?")
    found, version = _PATH.search(address), _VERSION.search(query)
    return address[: found.start() if found else None].rstrip("/"), version[1] if version else ""


def judged(pasted: str) -> str:
    """Return what decides whether a user may set an endpoint: all of it if its query has more than a version.

    More would be of no use and may be secret, so it is refused.
    """
    return pasted if _MORE.search(pasted) else read(pasted)[0]


def address(pasted: str, version: str | None, deployment: str) -> tuple[str, dict[str, str]]:
    """Return the base URL and the query of requests. A dated API version has a path for each deployment."""
    root, pasted_version = read(pasted)
    version = version or pasted_version
    if not version[:1].isdigit():
        return f"{root}/openai/v1", {}
    path = f"/deployments/{_segment(deployment)}" if deployment else ""
    return f"{root}/openai{path}", {"api-version": version}


def _segment(name: str) -> str:
    """Quote a name as one segment of a path; `..` would be one too many, so dots alone are quoted as well."""
    return quote(name, safe="") if name.strip(".") else name.replace(".", "%2E")
