"""What only Azure can refuse, before anything is sent."""

import ssl
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import trustme

from tests.client import chat
from tests.processes import ROOT, Processes, Service, Simulator, environment_without
from tests.upstream.server import Server, answering, forwarding, whole


def test_a_model_without_a_deployment_is_not_found(service: Service) -> None:
    reply = chat(service, "azure", "gpt-nobody-named")
    assert (reply.status, reply.json()["message"]) == (400, "Model not found")


@pytest.mark.parametrize("missing", ["AZURE_OPENAI_ENDPOINT", "AZURE_GPT_35_TURBO_NAME"])
def test_without_an_endpoint_or_a_deployment_its_resources_are_not_found(
    processes: Processes, environment: Mapping[str, str], missing: str
) -> None:
    lacking = processes.service({name: value for name, value in environment.items() if name != missing})
    reply = chat(lacking, "azure", "gpt-3.5-turbo")
    assert (reply.status, reply.json()["message"]) == (400, "Azure resources not found")


def test_a_key_of_the_environment_never_travels_to_an_endpoint_of_a_profile(
    processes: Processes, environment: Mapping[str, str], simulator: Simulator
) -> None:
    ours = {name: value for name, value in environment.items() if name != "AZURE_OPENAI_ENDPOINT"}
    mixed = processes.fresh_service({**ours, "ENDPOINT_ALLOWLIST": simulator.url})
    set_endpoint(mixed, simulator)
    before = simulator.requests()
    reply = chat(mixed, "azure", "gpt-3.5-turbo")
    assert (reply.status, reply.json()["message"]) == (400, "Azure resources not found")
    assert simulator.requests() == before


def set_endpoint(service: Service, simulator: Simulator) -> None:
    """Set the simulator as the profile's endpoint, as where it is allowed."""
    command = [str(Path(sys.executable).parent / "flask"), "--app", "wsgi", "profile", "set", "azure_openai_endpoint"]
    changes = {"DATABASE_URL": f"sqlite:///{service.database}", "ENDPOINT_ALLOWLIST": simulator.url}
    value = f"{simulator.url}/azure".encode()
    subprocess.run(command, cwd=ROOT, env=environment_without(changes), input=value, check=True, capture_output=True)


def test_a_profile_s_key_goes_to_the_profile_s_endpoint(
    processes: Processes, environment: Mapping[str, str], simulator: Simulator
) -> None:
    """The endpoint of the environment, which belongs to the key that is missing there, is not asked."""
    ours = {name: value for name, value in environment.items() if name != "AZURE_OPENAI_API_KEY"}
    others = {"AZURE_OPENAI_ENDPOINT": "http://127.0.0.1:9", "ENDPOINT_ALLOWLIST": simulator.url}
    own = processes.fresh_service({**ours, **others})
    own.profile_set("azure_openai_api_key", "azure-own-key")
    assert chat(own, "azure", "gpt-3.5-turbo").json()["message"] == "Azure resources not found"
    set_endpoint(own, simulator)
    assert chat(own, "azure", "gpt-3.5-turbo").status == 200
    assert dict(simulator.requests()[-1]["headers"])["api-key"] == "azure-own-key"


@pytest.mark.parametrize("accept", ["", "text/event-stream"])
def test_a_profile_s_endpoint_on_this_machine_is_blocked_where_no_operator_allows_it(
    guarding: Service, simulator: Simulator, accept: str
) -> None:
    before = simulator.requests()
    reply = chat(guarding, "azure", "gpt-3.5-turbo", accept=accept)
    assert (reply.status, reply.json()["code"]) == (400, "blocked_endpoint")
    assert reply.json()["message"].startswith("The endpoint must begin with https://")
    assert simulator.requests() == before


@pytest.fixture(scope="module")
def guarding(processes: Processes, environment: Mapping[str, str], simulator: Simulator) -> Service:
    """A service whose user chose this machine while the operator allowed it."""
    ours = {name: value for name, value in environment.items() if name != "AZURE_OPENAI_API_KEY"}
    service = processes.fresh_service(ours)
    service.profile_set("azure_openai_api_key", "azure-own-key")
    set_endpoint(service, simulator)
    return service


HI = b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}'
ADDRESS = "93.184.215.14"


def test_a_profile_s_public_endpoint_is_reached_at_its_address_over_the_proxy(
    processes: Processes, environment: Mapping[str, str], tmp_path: Path
) -> None:
    """A proxy on this machine is what makes a public address reachable in a test; TLS ends behind it."""
    authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(ADDRESS).configure_cert(tls)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    ours = {name: value for name, value in environment.items() if name != "AZURE_OPENAI_API_KEY"}
    with Server(tls) as provider, Server() as proxy:
        provider.play(answering(whole(HI)))
        proxy.play(forwarding(provider.port))
        trusted = {"SSL_CERT_FILE": str(tmp_path / "authority.pem")}
        own = processes.fresh_service({**ours, **trusted, "HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"})
        own.profile_set("azure_openai_endpoint", f"https://{ADDRESS}/")
        own.profile_set("azure_openai_api_key", "azure-own-key")
        assert chat(own, "azure", "gpt-3.5-turbo").body == b"Hi"
        assert proxy.requests()[0].startswith(f"CONNECT {ADDRESS}:443 HTTP/1.1\r\n".encode())
        assert b"\r\napi-key: azure-own-key\r\n" in provider.requests()[0]
