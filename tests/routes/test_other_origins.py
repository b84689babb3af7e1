"""Pages of other origins, in a browser, which has the last word on what they may ask and read."""

import functools
import http.server
import json
import shutil
from collections.abc import Iterator, Mapping
from threading import Thread
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from app.simulator import ANSWER
from tests.login.users import User, coded_cookie, mark, question, seen, somebody, with_login
from tests.processes import Processes, Simulator

ASK = """
async ([url, token, body, credentials]) => {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  try {
    const response = await fetch(url, { method: "POST", headers, body, credentials });
    const exposed = ["X-Request-ID", "X-Key-Source", "Server"].map((name) => response.headers.get(name) !== null);
    return { status: response.status, text: await response.text(), exposed };
  } catch (error) {
    return { status: 0, text: String(error), exposed: [] };
  }
}
"""
FORM = """
([url, name]) => {
  const form = document.createElement("form");
  Object.assign(form, { action: url, method: "post", enctype: "text/plain" });
  const field = Object.assign(document.createElement("input"), { name, value: '"}' });
  form.append(field);
  document.body.append(form);
  form.submit();
}
"""


class Elsewhere(NamedTuple):
    """Three origins of blank pages: one whose pages may ask, one of the same site that may not, one of another site."""

    allowed: str
    other_port: str
    other_site: str


class PageServer:
    """One origin."""

    def __enter__(self) -> http.server.ThreadingHTTPServer:
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Blank)
        self._thread = Thread(target=functools.partial(self._server.serve_forever, 0.01))
        self._thread.start()
        return self._server

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Blank(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<!doctype html><title>Elsewhere</title>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Leave the tests' output alone."""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    with PageServer() as first, PageServer() as second:
        ours, other = first.server_port, second.server_port
        yield Elsewhere(f"http://127.0.0.1:{ours}", f"http://127.0.0.1:{other}", f"http://localhost:{other}")


@pytest.fixture(scope="module")
def user(processes: Processes, environment: Mapping[str, str], simulator: Simulator, elsewhere: Elsewhere) -> User:
    """Somebody who is known to a service that names one of these origins, and another."""
    origins = f"https://app.example, {elsewhere.allowed}/"
    return somebody(processes.service({**with_login(environment, simulator), "CORS_ORIGINS": origins}))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert found, "Chromium must be on the PATH."
    switches = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=switches)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a browser that knows nobody yet."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


def fetched(page: Page, user: User, text: str, *, token: str = "", credentials: str = "omit") -> dict[str, Any]:
    """Have the page ask."""
    url, body = f"{user.service.url}/api/chat/openai", question(text=text).decode()
    found: dict[str, Any] = page.evaluate(ASK, [url, token, body, credentials])
    return found


def test_a_page_of_a_named_origin_chats_with_a_token(
    page: Page, elsewhere: Elsewhere, user: User, simulator: Simulator
) -> None:
    page.goto(elsewhere.allowed)
    text = mark()
    found = fetched(page, user, text, token=user.token)
    assert found == {"status": 200, "text": ANSWER, "exposed": [True, True, False]}
    assert len(seen(simulator, text)) == 1
    found = fetched(page, user, mark(), token="wrong")
    assert (found["status"], json.loads(found["text"])["message"]) == (401, "User not found")


def test_a_page_of_another_origin_does_not(page: Page, elsewhere: Elsewhere, user: User, simulator: Simulator) -> None:
    """Its request is not even sent: the browser asks before, because of the header."""
    for origin in (elsewhere.other_port, elsewhere.other_site):
        page.goto(origin)
        text = mark()
        assert fetched(page, user, text, token=user.token)["status"] == 0
        assert seen(simulator, text) == []


def log_in(page: Page, user: User) -> None:
    """Leave the session's cookie in the browser, as a frontend of the service's own site does."""
    name, _, value = coded_cookie(user.token).partition("=")
    page.context.add_cookies([{"name": name, "value": value, "url": user.service.url}])


def test_a_page_of_a_named_origin_chats_with_a_session_cookie(
    page: Page, elsewhere: Elsewhere, user: User, simulator: Simulator
) -> None:
    log_in(page, user)
    page.goto(elsewhere.allowed)
    text = mark()
    assert fetched(page, user, text, credentials="include")["text"] == ANSWER
    assert len(seen(simulator, text)) == 1
    assert json.loads(fetched(page, user, mark())["text"])["code"] == "unauth"


def submitted(page: Page, user: User, text: str) -> int:
    """Have the page submit a form whose body is a chat, which needs no leave; return the answer's status."""
    chat, url = question(text=text).decode(), f"{user.service.url}/api/chat/openai"
    with page.expect_navigation(url=url) as answer:
        page.evaluate(FORM, [url, chat.removesuffix("}") + ', "x": "'])
    assert answer.value is not None
    return answer.value.status


def test_a_form_of_another_site_chats_for_nobody(
    page: Page, elsewhere: Elsewhere, user: User, simulator: Simulator
) -> None:
    """One of the same site does, so that it is not the form that is wrong."""
    log_in(page, user)
    for origin, status in ((elsewhere.other_port, 200), (elsewhere.other_site, 403)):
        page.goto(origin)
        text = mark()
        assert submitted(page, user, text) == status
        assert len(seen(simulator, text)) == (status == 200)
