"""Which other origins' pages may ask, header by header."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from app import create_app
from app.config import Settings
from tests.client import Reply, ask, begun, read
from tests.login.users import ORIGIN as NAMED
from tests.login.users import User, coded_cookie, mark, question, seen, somebody, with_login
from tests.processes import Processes, Service, Simulator
from tests.raw import connect

ALLOW, CREDENTIALS = "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials"
EXPOSED = {"X-Request-ID", "X-Key-Source", "Retry-After"}
PREFLIGHT = {
    "Access-Control-Allow-Methods": {"GET", "POST", "PUT", "DELETE"},
    "Access-Control-Allow-Headers": {"Authorization", "Content-Type", "User-Agent", "X-Request-ID"},
}


@pytest.fixture(scope="module")
def service(processes: Processes, environment: Mapping[str, str], simulator: Simulator) -> Service:
    """A service that names one origin."""
    return processes.service(with_login(environment, simulator))


@pytest.fixture
def user(service: Service) -> User:
    return somebody(service)


def words(value: str | None) -> set[str]:
    return set((value or "").split(", "))


def assert_named(reply: Reply, origin: str = NAMED) -> None:
    """A page of this origin may read the answer, and what it asks may carry a cookie."""
    assert reply.headers.get_all(ALLOW) == [origin]
    assert reply.headers.get_all(CREDENTIALS) == ["true"]
    assert words(reply.headers["Access-Control-Expose-Headers"]) == EXPOSED
    assert "Origin" in words(reply.headers["Vary"])


def assert_unnamed(reply: Reply) -> None:
    """No page of another origin may read the answer."""
    assert [name for name in reply.headers if name.lower().startswith("access-control-")] == []
    assert "Origin" in words(reply.headers["Vary"])


def preflight(service: Service, path: str, origin: str) -> Reply:
    """Ask what a browser asks before a page's request with a token."""
    asked = {"access_control_request_method": "PUT", "access_control_request_headers": "authorization"}
    return ask(service, path, None, method="OPTIONS", origin=origin, **asked)


PATHS = ["/api/chat/openai", "/api/profile", "/api/profile/settings/groq_api_key", "/api/keys", "/api/nothing"]


@pytest.mark.parametrize("path", PATHS)
def test_a_preflight_is_answered_without_a_login(service: Service, path: str) -> None:
    for origin, named in ((NAMED, True), ("https://evil.example", False), ("", False)):
        reply = preflight(service, path, origin)
        assert (reply.status, reply.body) == (204, b"")
        assert "html" not in (reply.headers["Content-Type"] or "")
        if named:
            assert_named(reply)
            assert {name: words(reply.headers[name]) for name in PREFLIGHT} == PREFLIGHT
            assert int(reply.headers["Access-Control-Max-Age"]) > 0
        else:
            assert_unnamed(reply)


OTHERS = {
    "another": "https://evil.example",
    "a name that ends as ours": "https://evil-app.example",
    "a name under ours": "https://evil.app.example",
    "a name that begins as ours": "https://app.example.evil.example",
    "ours without its end": "https://app.exampl",
    "ours with a dot": "https://app.example.",
    "another scheme": "http://app.example",
    "no scheme": "app.example",
    "a port": "https://app.example:8443",
    "the usual port": "https://app.example:443",
    "capitals": "https://APP.example",
    "a scheme in capitals": "HTTPS://app.example",
    "a slash": "https://app.example/",
    "a path": "https://app.example/x",
    "a user": "https://app.example@evil.example",
    "hidden": "null",
    "two of them": "https://app.example, https://evil.example",
    "two of them without a comma": "https://app.example https://evil.example",
    "any": "*",
    "a pattern": "https://*.example",
    "a file": "file://",
    "an extension": "chrome-extension://app.example",
}


@pytest.mark.parametrize("origin", OTHERS.values(), ids=OTHERS)
def test_an_origin_is_allowed_exactly_or_not_at_all(user: User, origin: str) -> None:
    assert_named(user.ask("/api/profile", origin=NAMED))
    for reply in (user.ask("/api/profile", origin=origin), preflight(user.service, "/api/profile", origin)):
        assert_unnamed(reply)
        assert reply.status in (200, 204)


@pytest.mark.parametrize("pair", [(NAMED, "https://evil.example"), ("https://evil.example", NAMED), (NAMED, NAMED)])
def test_two_origin_headers_are_none(user: User, pair: tuple[str, str]) -> None:
    lines = ["GET /api/profile HTTP/1.1", "Host: localhost", f"Authorization: Bearer {user.token}"]
    head = [*lines, *(f"Origin: {origin}" for origin in pair), "", ""]
    with connect(user.service.port, "\r\n".join(head).encode()) as client:
        assert_unnamed(read(begun(client.socket)))


def test_caches_are_told_where_no_page_is_allowed(user: User) -> None:
    assert_unnamed(user.ask("/api/profile"))


def test_errors_can_be_read_by_the_page_that_asked(user: User) -> None:
    """Or it could not show their sentence."""
    replies = {
        "unauth": ask(user.service, "/api/chat/openai", question(), origin=NAMED),
        "bad_body": user.ask("/api/chat/openai", b"[]", method="POST", origin=NAMED),
        "too_large": user.ask("/api/chat/openai", b"{}", method="POST", content_length="99999999", origin=NAMED),
        "bad_type": user.ask("/api/chat/openai", b"{}", method="POST", content_encoding="gzip", origin=NAMED),
        "provider_rate_limited": user.chat(model="demo@status-429@retry-7", origin=NAMED),
        "provider_error": user.chat(model="demo@status-500", origin=NAMED),
        "not_found": user.ask("/api/nothing", origin=NAMED),
        "method": user.ask("/api/chat/openai", method="GET", origin=NAMED),
        "missing_key": user.ask("/api/profile/settings/groq_api_key/check", b"", method="POST", origin=NAMED),
    }
    for code, reply in replies.items():
        assert reply.json()["code"] == code
        assert_named(reply)
    assert replies["provider_rate_limited"].headers["Retry-After"] == "7"
    assert replies["provider_error"].headers["X-Key-Source"] == "environment"


@pytest.mark.parametrize("accept", ["", "text/event-stream"])
def test_a_stream_can_be_read_too_however_it_ends(user: User, accept: str) -> None:
    for model in ("demo", "demo@cut-3"):
        reply = user.chat(model=model, accept=accept, origin=NAMED)
        assert reply.status == 200
        assert_named(reply)
        assert_unnamed(user.chat(model=model, accept=accept, origin="https://evil.example"))


def test_only_the_api_has_such_headers(service: Service) -> None:
    for path in ("/", "/healthz", "/nothing"):
        reply = ask(service, path, None, method="GET", origin=NAMED)
        assert reply.headers[ALLOW] is None
    assert ask(service, "/", None, method="OPTIONS", origin=NAMED).headers[ALLOW] is None


def test_any_origin_may_be_let_ask_without_cookies(bare: Service) -> None:
    user = somebody(bare)
    for origin in ("https://evil.example", "null", "*", ""):
        for reply in (user.ask("/api/profile", origin=origin), preflight(bare, "/api/profile", origin)):
            assert reply.headers.get_all(ALLOW) == ["*"]
            assert reply.headers[CREDENTIALS] is None
            assert "Origin" in words(reply.headers["Vary"])
    assert_named(user.ask("/api/profile", origin=NAMED))


def test_a_cookie_is_a_login_for_named_origins_only(bare: Service, simulator: Simulator) -> None:
    """That any origin may ask does not make its pages the user's."""
    user, text = somebody(bare).has(openai_api_key=mark("key")), mark()
    for origin, status in (("https://evil.example", 403), ("*", 403), ("null", 403), (NAMED, 200)):
        sent = {"cookie": coded_cookie(user.token), "origin": origin}
        assert ask(bare, "/api/chat/openai", question(text=text), **sent).status == status
    assert len(seen(simulator, text)) == 1


@pytest.mark.parametrize(("origins", "allowed"), [((), False), (("https://app.example",), True), (("*",), False)])
def test_only_named_pages_may_ask_for_the_local_user(
    tmp_path: Path, origins: tuple[str, ...], *, allowed: bool
) -> None:
    """Without a login, a page's origin is all there is to go by."""
    settings = Settings(database_url=f"sqlite:///{tmp_path}/sluice.db", cors_origins=origins)
    client = create_app(settings).test_client()
    reply = client.get("/api/profile", headers={"Origin": NAMED})
    assert reply.status_code == (200 if allowed else 401)
    assert client.get("/api/profile", headers={"Origin": "https://evil.example"}).status_code == 401
