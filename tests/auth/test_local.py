"""Who is served while no login is configured: this machine's own user, and nobody else."""

import pytest
from flask.testing import FlaskClient

from app import create_app
from app.config import Settings


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    folder = tmp_path_factory.mktemp("local")
    return create_app(Settings(database_url=f"sqlite:///{folder}/sluice.db")).test_client()


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000"])
def test_this_machine_s_user_is_served(client: FlaskClient, address: str, host: str) -> None:
    reply = client.get("/api/keys", headers={"Host": host}, environ_base={"REMOTE_ADDR": address})
    assert reply.status_code == 200


@pytest.mark.parametrize("address", ["192.168.1.7", "203.0.113.7", "::ffff:10.0.0.1", "fe80::1", "", "unix:"])
def test_another_machine_is_not(client: FlaskClient, address: str) -> None:
    assert client.get("/api/keys", environ_base={"REMOTE_ADDR": address}).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Forwarded-Proto": "https"},
        {"X-Real-IP": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"Via": "1.1 proxy"},
        {"Host": "evil.example"},
        {"Host": "localhost.evil.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "null"},
    ],
)
def test_neither_is_a_proxy_s_client_nor_a_foreign_page(client: FlaskClient, headers: dict[str, str]) -> None:
    reply = client.get("/api/keys", headers=headers)
    assert reply.status_code == 401
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert reply.get_json()["message"] == "User not found"


def test_our_own_page_is_served(client: FlaskClient) -> None:
    assert client.get("/api/keys", headers={"Origin": "http://localhost"}).status_code == 200


def test_nobody_is_known_before_the_body_is_read(client: FlaskClient) -> None:
    reply = client.post("/api/chat/openai", data=b"not JSON", headers={"Via": "1.1 proxy"})
    assert reply.status_code == 401


@pytest.mark.parametrize(
    "host", ["", "[", "[::1", "a]b", "@", "localhost:x", "localhost:99999", "localhost@evil.example"]
)
def test_a_host_that_is_none_is_not_this_machine(client: FlaskClient, host: str) -> None:
    assert client.get("/api/keys", headers={"Host": host}).status_code == 401
