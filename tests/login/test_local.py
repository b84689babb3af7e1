"""Who is served while no login is configured: this machine's own user, and nobody else."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Request
from flask.testing import FlaskClient

from app import create_app
from app.config import Settings
from app.login import Login
from app.store import Store
from tests.processes import wait_for


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    folder = tmp_path_factory.mktemp("local")
    return create_app(Settings(database_url=f"sqlite:///{folder}/sluice.db")).test_client()


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000"])
def test_the_user_of_this_machine_is_served(client: FlaskClient, address: str, host: str) -> None:
    reply = client.get("/api/keys", headers={"Host": host}, environ_base={"REMOTE_ADDR": address})
    assert reply.status_code == 200


@pytest.mark.parametrize("address", ["192.168.1.7", "203.0.113.7", "::ffff:10.0.0.1", "fe80::1", "", "unix:"])
@pytest.mark.parametrize("headers", [{}, {"X-Forwarded-For": "127.0.0.1"}, {"Host": "evil.example"}])
def test_another_machine_is_refused_without_a_reason(
    client: FlaskClient, address: str, headers: dict[str, str]
) -> None:
    reply = client.get("/api/keys", headers=headers, environ_base={"REMOTE_ADDR": address})
    assert (reply.status_code, reply.get_json()["message"]) == (401, "User not found")


LOGIN = ("flask --app wsgi token create --user NAME", "AUTH_JWT_SECRET", "AUTH_JWKS_URL")
REFUSED = [
    ({"X-Forwarded-For": "127.0.0.1"}, ("proxy",)),
    ({"X-Forwarded-Proto": "https"}, ("proxy",)),
    ({"X-Forwarded-Host": "localhost:3000", "Origin": "http://localhost:3000"}, ("proxy",)),
    ({"X-Real-IP": "127.0.0.1"}, ("proxy",)),
    ({"Forwarded": "for=127.0.0.1"}, ("proxy",)),
    ({"Via": "1.1 proxy"}, ("proxy",)),
    ({"Host": "evil.example"}, ("Host",)),
    ({"Host": "localhost.evil.example"}, ("Host",)),
    ({"Origin": "https://evil.example"}, ("origin", "CORS_ORIGINS")),
    ({"Origin": "http://localhost:3000"}, ("origin", "CORS_ORIGINS")),
    ({"Origin": "null"}, ("origin",)),
    ({"Origin": "chrome-extension://abc"}, ("origin",)),
]


@pytest.mark.parametrize(("headers", "named"), REFUSED)
def test_a_refused_local_request_is_told_what_to_set_up(
    client: FlaskClient, headers: dict[str, str], named: tuple[str, ...]
) -> None:
    reply = client.get("/api/keys", headers=headers)
    assert reply.status_code == 401
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    message = reply.get_json()["message"]
    assert message.startswith("User not found. ")
    assert len(message) <= 200
    assert all(name in message for name in (*named, *LOGIN))
    assert ("CORS_ORIGINS" in message) == ("CORS_ORIGINS" in named)


def test_what_the_refusal_names_lets_the_request_in(tmp_path: Path) -> None:
    """A development server's page, whose requests come by a proxy that changes `Host` and adds nothing."""
    settings = Settings(database_url=f"sqlite:///{tmp_path}/sluice.db", cors_origins=("http://localhost:5173",))
    app = create_app(settings)
    vite, forwarded = {"Origin": "http://localhost:5173", "Host": "127.0.0.1:8000"}, {"X-Forwarded-For": "127.0.0.1"}
    assert app.test_client().get("/api/keys", headers=vite).status_code == 200
    assert app.test_client().get("/api/keys", headers=vite | forwarded).status_code == 401
    made = app.test_cli_runner().invoke(args=["token", "create", "--user", "NAME"])
    token = {"Authorization": f"Bearer {made.stdout.strip()}"}
    assert app.test_client().get("/api/keys", headers=vite | forwarded | token).status_code == 200


def test_with_a_login_no_refusal_says_why(tmp_path: Path) -> None:
    app = create_app(Settings(database_url=f"sqlite:///{tmp_path}/sluice.db"))
    app.test_cli_runner().invoke(args=["token", "create", "--user", "ada"])
    for headers, _ in REFUSED:
        assert app.test_client().get("/api/keys", headers=headers).get_json()["message"] == "User not found"


def test_our_own_page_is_served(client: FlaskClient) -> None:
    assert client.get("/api/keys", headers={"Origin": "http://localhost"}).status_code == 200


def test_a_request_is_refused_before_its_body_is_read(client: FlaskClient) -> None:
    reply = client.post("/api/chat/openai", data=b"not JSON", headers={"Via": "1.1 proxy"})
    assert reply.status_code == 401


@pytest.mark.parametrize(
    "host", ["", "[", "[::1", "a]b", "@", "localhost:x", "localhost:99999", "localhost@evil.example"]
)
def test_an_invalid_host_is_not_this_machine(client: FlaskClient, host: str) -> None:
    assert client.get("/api/keys", headers={"Host": host}).status_code == 401


def files(work: Callable[[], object]) -> set[str]:
    """Return the names of the Python files and folders whose functions are called."""
    found: set[str] = set()
    sys.setprofile(lambda frame, _event, _argument: found.update(Path(frame.f_code.co_filename).parts))
    try:
        work()
    finally:
        sys.setprofile(None)
    return found


def test_a_login_builds_no_path_address_or_query(tmp_path: Path) -> None:
    """What is the same for every request is made before: each of these costs more than all the rest of a login."""
    settings = Settings(database_url=f"sqlite:///{tmp_path}/sluice.db")
    store = Store(settings)
    store.database.prepare()
    login = Login(settings, store, None)
    costly = {"pathlib.py", "ipaddress.py", "sqlalchemy"}
    local = {"REMOTE_ADDR": "127.9.9.9", "HTTP_HOST": "127.0.0.1:8000", "wsgi.url_scheme": "http"}
    assert files(lambda: login.user(Request(local))) >= {"ipaddress.py", "sqlalchemy"}, "the first login does"
    assert not files(lambda: login.user(Request(local))) & costly
    bearer = local | {"HTTP_AUTHORIZATION": f"Bearer {store.tokens.create('ada')[1]}"}
    login.user(Request(bearer))
    wait_for(lambda: store.tokens.all()[0].last_used_at)  # written in the background, and so what was read is old
    login.user(Request(bearer))
    assert not files(lambda: login.user(Request(bearer))) & costly
