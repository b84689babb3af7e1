"""Two houses full of secrets, and what holds after every test in them."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from cryptography.fernet import Fernet

from tests import servers
from tests.canaries.house import GUEST, OWNER, House, login, profile_canaries, start
from tests.canaries.marks import canary, known
from tests.canaries.mirror import Mirror
from tests.login.identity import AUDIENCE, ISSUER, hs256, token
from tests.processes import Processes
from tests.servers import PASSWORD, Server


@pytest.fixture(scope="session")
def mirror() -> Iterator[Mirror]:
    with Mirror() as provider:
        yield provider


@pytest.fixture(scope="session")
def small_house(processes: Processes, mirror: Mirror) -> House:
    """One process, SQLite with a key file, and tokens."""
    house = start(processes, mirror)
    for user in (OWNER, GUEST):
        said = house.run("token", "create", "--user", user).stdout.decode().strip()
        house.told.clear()  # which is the one place where a token is shown
        house.logins[user] = said
        house.canaries[f"token of {user}"] = login(said)
    house.canaries["key file"] = known("the key file's key", house.key_file.read_text())
    house.move_in(profile_canaries())
    return house


@pytest.fixture(scope="session")
def large_house(processes: Processes, mirror: Mirror, postgres: Server, redis_server: Server) -> Iterator[House]:
    """PostgreSQL, Redis, and an identity provider."""
    keys = [Fernet.generate_key().decode() for _ in range(2)]
    secret = canary("AUTH_JWT_SECRET")
    with ExitStack() as stack:
        settings = {
            "DATABASE_URL": stack.enter_context(servers.database(postgres)),
            "REDIS_URL": f"{redis_server.url}/999",
            "VAULT_KEYS": ",".join(keys),
            "AUTH_JWT_SECRET": secret.value,
            "AUTH_JWT_AUDIENCE": AUDIENCE,
            "AUTH_JWT_ISSUER": ISSUER,
        }
        house = start(processes, mirror, **settings)
        house.canaries |= {"AUTH_JWT_SECRET": secret, "password": known("a database's password", PASSWORD)}
        house.canaries |= {f"VAULT_KEYS {number}": known("a vault's key", key) for number, key in enumerate(keys)}
        for user in (OWNER, GUEST):
            house.logins[user] = token(hs256(secret.value), sub=user)
            house.canaries[f"token of {user}"] = login(house.logins[user])
        house.move_in(profile_canaries())
        yield house
        house.service.process.terminate()
        house.service.process.wait(20)


@pytest.fixture
def small(small_house: House) -> Iterator[House]:
    yield from _searched(small_house)


@pytest.fixture
def large(large_house: House) -> Iterator[House]:
    yield from _searched(large_house)


@pytest.fixture(params=["small", "large"])
def house(request: pytest.FixtureRequest) -> House:
    """Either house."""
    found: House = request.getfixturevalue(request.param)
    return found


def _searched(house: House) -> Iterator[House]:
    """Search, after every test in a house: what it told, its log, and the files of its database."""
    yield house
    leaks = house.leaks()
    assert not leaks, "\n".join(leaks)
