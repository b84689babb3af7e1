"""Somebody's browser: it keeps the cookies that it is given, and says with which page's request they go."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookiejar import CookieJar
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, HTTPErrorProcessor, ProxyHandler, Request, build_opener

from tests.client import HELLO, Reply, read

OWN_PAGE = MappingProxyType({"Sec-Fetch-Site": "same-origin"})
SETTING = "/sluice/api/profile/settings/openai_api_key"


class _AsItIs(HTTPErrorProcessor):
    """Makes no exception of an error's status, and follows no redirect."""

    def http_response(self, request: Request, response: Any) -> Any:  # noqa: ANN401, ARG002 - the library's own
        return response


@dataclass
class Browser:
    """A browser, for an application at a port of this machine that has Sluice under /sluice."""

    port: int
    cookies: CookieJar = field(default_factory=CookieJar)

    def open(self, method: str, path: str, body: bytes | None, **headers: str) -> http.client.HTTPResponse:
        """Send a request, and return as soon as the answer's head is here."""
        opener = build_opener(_AsItIs, HTTPCookieProcessor(self.cookies), ProxyHandler({}))
        asked = Request(f"http://127.0.0.1:{self.port}{path}", body, headers, method=method)
        response: http.client.HTTPResponse = opener.open(asked, timeout=120)
        return response

    def get(self, path: str) -> Reply:
        return read(self.open("GET", path, None))

    def submit(self, path: str, **form: str) -> Reply:
        """Send a form of the host's."""
        return read(self.open("POST", path, urlencode(form).encode(), **OWN_PAGE))

    def begin(self, model: str, headers: Mapping[str, str] = OWN_PAGE) -> http.client.HTTPResponse:
        """Ask, and return when the answer has begun."""
        body = json.dumps({"chatSettings": {"model": model}, "messages": HELLO}).encode()
        return self.open("POST", "/sluice/api/chat/openai", body, **headers)

    def chat(self, model: str, headers: Mapping[str, str] = OWN_PAGE) -> Reply:
        return read(self.begin(model, headers))

    def set_key(self, key: str, headers: Mapping[str, str] = OWN_PAGE) -> Reply:
        return read(self.open("PUT", SETTING, json.dumps({"value": key}).encode(), **headers))

    def state(self) -> dict[str, Any]:
        """Return what the profile says of the key, and whose it is."""
        profile = self.get("/sluice/api/profile").json()
        name = SETTING.rpartition("/")[2]
        (state,) = (state for state in profile["settings"] if state["name"] == name)
        return {"user": profile["user"], **state}
