"""The services that know people, each by another login, and the identity provider that they trust."""

import json
from collections.abc import Iterator, Mapping

import pytest

from app.login.claims import Claims
from tests.login.identity import SECRET, Identity, ec_jwk, ec_key, ed_jwk, ed_key, identity_provider, rsa_jwk, rsa_key
from tests.login.users import REQUEST_ID, User, holder, refusal, widened, with_login
from tests.login.verifiers import verifier
from tests.processes import Processes, Service, Simulator


@pytest.fixture(scope="session")
def login(processes: Processes, environment: Mapping[str, str], simulator: Simulator) -> Service:
    """A service that knows people by the tokens and the cookies of an identity provider."""
    return processes.service(with_login(environment, simulator))


@pytest.fixture
def identity() -> Iterator[Identity]:
    """An identity provider of this test alone, with one key."""
    with identity_provider() as running:
        running.published = [rsa_jwk(rsa_key(), kid="first")]
        yield running


@pytest.fixture
def both(identity: Identity) -> Claims:
    """A verifier with a secret, and with one published key of each kind."""
    identity.published = [
        rsa_jwk(rsa_key(), kid="rsa", use="sig", alg="RS256"),
        ec_jwk(ec_key(), kid="ec", key_ops=["verify"]),
        ed_jwk(ed_key(), kid="ed"),
    ]
    return verifier(auth_jwt_secret=SECRET, auth_jwks_url=identity.url)


@pytest.fixture(scope="session")
def issuer() -> Iterator[Identity]:
    """An identity provider with a key of each kind."""
    with identity_provider() as running:
        running.published = published()
        yield running


@pytest.fixture(scope="session")
def federated(processes: Processes, environment: Mapping[str, str], simulator: Simulator, issuer: Identity) -> Service:
    """A service that takes both what the identity provider's secret signs, and what its published keys do."""
    return processes.service({**with_login(environment, simulator), "AUTH_JWKS_URL": issuer.url})


@pytest.fixture(scope="session")
def tokens(processes: Processes, environment: Mapping[str, str], simulator: Simulator) -> Service:
    """A service that knows people by tokens of ours."""
    return processes.service(widened(environment, simulator))


@pytest.fixture(scope="session")
def alice_and_id(tokens: Service) -> tuple[User, str]:
    return holder(tokens, "alice")


@pytest.fixture(scope="session")
def alice(alice_and_id: tuple[User, str]) -> User:
    """Somebody with a token of ours."""
    return alice_and_id[0]


@pytest.fixture(scope="session")
def bob(tokens: Service) -> User:
    """Somebody else with one."""
    return holder(tokens, "bob")[0]


@pytest.fixture(scope="session")
def unauthorized(tokens: Service, alice: User) -> bytes:
    """The answer to a request without any credential, which every other refusal's is like, to the byte."""
    found = refusal(tokens)
    head, _, body = found.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 401 ")
    assert b"\r\nWWW-Authenticate: Bearer\r\n" in head + b"\r\n"
    assert b"\r\nCache-Control: no-store\r\n" in head + b"\r\n"
    assert json.loads(body) == {"message": "User not found", "code": "unauth", "requestId": REQUEST_ID}
    return found


def published() -> list[dict[str, object]]:
    """Return a key of each kind, by the name of its algorithm."""
    return [
        rsa_jwk(rsa_key(), kid="RS256", alg="RS256", use="sig"),
        ec_jwk(ec_key(), kid="ES256", alg="ES256", use="sig"),
        ed_jwk(ed_key(), kid="EdDSA", use="sig"),
    ]
