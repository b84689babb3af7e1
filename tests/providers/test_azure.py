"""What only Azure can refuse, before anything is sent."""

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from time import process_time

import pytest
import trustme

from app.config import Settings
from app.failure import Failure
from app.providers import PROVIDERS, account_for
from app.store import Store
from app.upstream import Upstream
from tests.client import ask, chat
from tests.far import Far
from tests.far.scripts import answering, forwarding, whole
from tests.processes import Processes, Service, Simulator

pytestmark = pytest.mark.usefixtures("_no_authorities")

OWN = {
    "azure_openai_api_key": "azure-own-key",
    "azure_openai_endpoint": "https://own.openai.azure.com",
    "azure_openai_35_turbo_id": "deployment-35",
}
MISSING = "Azure resources not found"


@pytest.mark.parametrize(
    ("missing", "model", "message"),
    [
        ("", "gpt-nobody-named", "Model not found"),
        ("azure_openai_endpoint", "gpt-3.5-turbo", MISSING),
        ("azure_openai_35_turbo_id", "gpt-3.5-turbo", MISSING),
    ],
)
def test_without_endpoint_or_deployment_azure_is_not_found(missing: str, model: str, message: str) -> None:
    own = {name: value for name, value in OWN.items() if name != missing}
    with pytest.raises(Failure) as failure:
        account_for(AZURE, own, {}, "environment-first", model=model)
    assert (failure.value.status, failure.value.message) == (400, message)


def put(service: Service, name: str, value: str) -> None:
    """Set a setting in the profile of the local user."""
    body = json.dumps({"value": value}).encode()
    assert ask(service, f"/api/profile/settings/{name}", body, method="PUT").status == 200


def test_no_environment_key_goes_to_an_endpoint_of_a_profile(
    processes: Processes, environment: Mapping[str, str], simulator: Simulator
) -> None:
    ours = {name: value for name, value in environment.items() if name != "AZURE_OPENAI_ENDPOINT"}
    mixed = processes.service({**ours, "ENDPOINT_ALLOWLIST": simulator.url})
    put(mixed, "azure_openai_endpoint", f"{simulator.url}/azure")
    before = simulator.requests()
    reply = chat(mixed, "azure", "gpt-3.5-turbo")
    assert (reply.status, reply.json()["message"]) == (400, MISSING)
    assert simulator.requests() == before


HI = b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}'
ADDRESS = "93.184.215.14"


@dataclass(frozen=True)
class Keyless:
    """A service whose environment has an endpoint but no key, and whose users may choose the simulator's address.

    A proxy on this machine is what makes a public address reachable in a test; TLS ends behind it.
    """

    service: Service
    proxy: Far
    public: Far


@pytest.fixture(scope="module")
def keyless(
    processes: Processes,
    environment: Mapping[str, str],
    simulator: Simulator,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Keyless]:
    authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(ADDRESS).configure_cert(tls)
    trusted = tmp_path_factory.mktemp("authority") / "authority.pem"
    authority.cert_pem.write_to_path(str(trusted))
    ours = {name: value for name, value in environment.items() if name != "AZURE_OPENAI_API_KEY"}
    with Far(tls) as public, Far() as proxy:
        proxy.play(forwarding(public.port))
        way = {"SSL_CERT_FILE": str(trusted), "HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"}
        others = {"AZURE_OPENAI_ENDPOINT": "http://127.0.0.1:9", "ENDPOINT_ALLOWLIST": simulator.url}
        yield Keyless(processes.service({**ours, **way, **others}), proxy, public)


def test_a_key_of_a_profile_goes_to_the_endpoint_of_the_profile(keyless: Keyless, simulator: Simulator) -> None:
    """The endpoint of the environment, which belongs to the key that is missing there, is not asked."""
    own = keyless.service
    ask(own, "/api/profile/settings/azure_openai_endpoint", None, method="DELETE")
    put(own, "azure_openai_api_key", "azure-own-key")
    assert chat(own, "azure", "gpt-3.5-turbo").json()["message"] == MISSING
    put(own, "azure_openai_endpoint", f"{simulator.url}/azure")  # which removes the key that was there
    put(own, "azure_openai_api_key", "azure-own-key")
    assert chat(own, "azure", "gpt-3.5-turbo").status == 200
    assert dict(simulator.requests()[-1]["headers"])["api-key"] == "azure-own-key"
    assert chat(own, "azure", "gpt-nobody-named").json()["message"] == "Model not found"


@pytest.mark.parametrize("accept", ["", "text/event-stream"])
def test_a_local_endpoint_of_a_profile_is_blocked(keyless: Keyless, simulator: Simulator, accept: str) -> None:
    """It was set while the operator allowed it."""
    store = Store(Settings(database_url=f"sqlite:///{keyless.service.database}"))
    with closing(store.database):
        store.profiles.set("local", "azure_openai_endpoint", simulator.url.replace("127.0.0.1", "localhost"))
    put(keyless.service, "azure_openai_api_key", "azure-own-key")
    before = simulator.requests()
    reply = chat(keyless.service, "azure", "gpt-3.5-turbo", accept=accept)
    assert (reply.status, reply.json()["code"]) == (400, "blocked_endpoint")
    assert reply.json()["message"].startswith("The endpoint must begin with https://")
    assert simulator.requests() == before


def test_a_public_endpoint_of_a_profile_is_reached_by_the_proxy(keyless: Keyless) -> None:
    keyless.public.play(answering(whole(HI)))
    put(keyless.service, "azure_openai_endpoint", f"https://{ADDRESS}/")
    put(keyless.service, "azure_openai_api_key", "azure-own-key")
    assert chat(keyless.service, "azure", "gpt-3.5-turbo").body == b"Hi"
    assert keyless.proxy.requests()[0].startswith(f"CONNECT {ADDRESS}:443 HTTP/1.1\r\n".encode())
    assert b"\r\napi-key: azure-own-key\r\n" in keyless.public.requests()[0]


DATED, VERSION = "?api-version=2024-02-01", {"azure_openai_api_version": "2024-10-21"}
PASTED = {
    "": "/openai/v1/models",
    "/": "/openai/v1/models",
    "///": "/openai/v1/models",
    "/openai": "/openai/v1/models",
    "/openai/": "/openai/v1/models",
    "//openai/v1//": "/openai/v1/models",
    "/openai/v1": "/openai/v1/models",
    "/openai/v1/chat/completions": "/openai/v1/models",
    "/openai/responses?api-version=preview": "/openai/v1/models",
    "/openai/deployments/x": "/openai/v1/models",
    f"/openai/deployments/x/chat/completions{DATED}": f"/openai/models{DATED}",
    f"/openai/deployments/openai/chat/completions{DATED}": f"/openai/models{DATED}",
    DATED: f"/openai/models{DATED}",
    f"/openai/deployments/x/chat/completions{DATED}&x=1": f"/openai/models{DATED}",
    f"/openai/deployments/x/chat/completions?x=1&{DATED[1:]}#top": f"/openai/models{DATED}",
    f"/openai/deployments/x/completions{DATED}": f"/openai/models{DATED}",
    f"/openai/deployments/x/embeddings{DATED}": f"/openai/models{DATED}",
    f"/openai/deployments/x/audio/speech{DATED}": f"/openai/models{DATED}",
    "/openai/v1#x": "/openai/v1/models",
    "/openai/v1?x=1": "/openai/v1/models",
    "/OpenAI/V1/": "/openai/v1/models",
    "/openai/v1/completions": "/openai/v1/models",
    "/openai/v1/images/generations": "/openai/v1/models",
    "/v1": "/openai/v1/models",
    "/v1/chat/completions": "/openai/v1/models",
    "/gateway/v1/chat/completions": "/gateway/openai/v1/models",
    "/v1/gateway": "/v1/gateway/openai/v1/models",
    "/api/projects/p": "/openai/v1/models",
    "/api/projects/p/": "/openai/v1/models",
    "/api/projects/p/openai/v1/": "/openai/v1/models",
    "/gateway/": "/gateway/openai/v1/models",
    "/openai/openai/v1": "/openai/openai/v1/models",
    "/openai-proxy": "/openai-proxy/openai/v1/models",
}


AZURE = PROVIDERS["azure"]


def check(upstream: Upstream, settings: Mapping[str, str]) -> None:
    upstream.check(account_for(AZURE, {}, settings, "environment-first"), AZURE.dialect)


@pytest.mark.parametrize(("pasted", "path"), PASTED.items(), ids=repr)
def test_an_endpoint_is_taken_as_it_is_meant(pasted: str, path: str) -> None:
    with Far() as server, closing(Upstream(Settings())) as upstream:
        server.play(answering(whole(b"{}", b"HTTP/1.1 200 OK\r\n")))
        settings = {"azure_openai_api_key": "key", "azure_openai_endpoint": server.url.removesuffix("/v1") + pasted}
        check(upstream, settings)
        assert server.requests()[0].startswith(f"GET {path} HTTP/1.1\r\n".encode())


def test_a_version_that_is_set_wins_over_a_pasted_one() -> None:
    with Far() as server, closing(Upstream(Settings())) as upstream:
        server.play(answering(whole(b"{}", b"HTTP/1.1 200 OK\r\n")))
        endpoint = server.url.removesuffix("/v1") + DATED
        settings = {"azure_openai_api_key": "key", "azure_openai_endpoint": endpoint, **VERSION}
        check(upstream, settings)
        assert server.requests()[0].startswith(b"GET /openai/models?api-version=2024-10-21 HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("endpoint", "is_taken"),
    [
        ("https://name.openai.azure.com/openai/v1/", True),
        (f"https://name.openai.azure.com/openai/deployments/x/chat/completions{DATED}", True),
        (f"https://127.0.0.1/openai/deployments/x{DATED}", False),
        (f"https://ada@name.openai.azure.com{DATED}", False),
        (f"http://name.openai.azure.com/openai/v1{DATED}", False),
        ("https://name.openai.azure.com/openai/v1?api-key=secret", False),
        (f"https://name.openai.azure.com/openai/v1{DATED}&api-key=secret", False),
        (f"https://name.openai.azure.com/openai/v1#{DATED}", False),
        (f"https://name.openai.azure.com/openai/v1?api-key=secret&{DATED[1:]}", False),
        (f"https://name.openai.azure.com/openai/v1{DATED}#x", False),
        ("https://name.openai.azure.com/OpenAI/V1", True),
    ],
)
def test_a_pasted_endpoint_is_judged_like_any_other(endpoint: str, is_taken: bool) -> None:  # noqa: FBT001
    (field,) = [one for one in PROVIDERS["azure"].settings if one.name == "azure_openai_endpoint"]
    if is_taken:
        assert field.check(endpoint, ()) == endpoint
        return
    with pytest.raises(Failure) as failure:
        field.check(endpoint, ())
    assert failure.value.code == "blocked_endpoint"


def test_no_endpoint_takes_long_to_read() -> None:
    """The longest that can be set, of what could be tried in many ways."""
    for endpoint in (
        "https://" + "/" * 490 + "!",
        "https://" + "/openai" * 70,
        "https://" + "/openai/v1" * 49 + "\n",
        "https://" + "/api/projects/" * 35,
    ):
        started = process_time()
        PROVIDERS["azure"].settings[0].meant(endpoint)
        assert process_time() - started < 0.1


JUNK = ["", "x", "[", "[]", "null", '{"m": 1}', '{"m": {"m": "d"}}', '{"m": ' * 9999, '"\ud800"']


@pytest.mark.parametrize("value", JUNK, ids=range(len(JUNK)))
def test_deployments_that_are_none_are_a_model_not_found(value: str) -> None:
    """The environment may have anything there."""
    settings = {"azure_openai_api_key": "key", "azure_openai_endpoint": "https://a.example"}
    with pytest.raises(Failure, match="Model not found"):
        account_for(AZURE, {}, settings | {"azure_openai_deployments": value}, "environment-first", model="m")


def test_a_deployment_counts_beside_one_that_is_none() -> None:
    settings = {"azure_openai_api_key": "key", "azure_openai_endpoint": "https://a.example"}
    settings |= {"azure_openai_deployments": '{"m": "mine", "n": 1}', "azure_openai_api_version": "2024-10-21"}
    assert "mine" in account_for(AZURE, {}, settings, "environment-first", model="m").base_url
