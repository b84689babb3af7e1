"""What only Azure can refuse, before anything is sent."""

from collections.abc import Mapping

import pytest

from tests.client import chat
from tests.processes import Processes, Service, Simulator


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
    mixed = processes.fresh_service(ours)
    mixed.profile_set("azure_openai_endpoint", f"{simulator.url}/azure")
    before = simulator.requests()
    reply = chat(mixed, "azure", "gpt-3.5-turbo")
    assert (reply.status, reply.json()["message"]) == (400, "Azure resources not found")
    assert simulator.requests() == before


def test_a_profile_s_key_goes_to_the_profile_s_endpoint(
    processes: Processes, environment: Mapping[str, str], simulator: Simulator
) -> None:
    """The endpoint of the environment, which belongs to the key that is missing there, is not asked."""
    ours = {name: value for name, value in environment.items() if name != "AZURE_OPENAI_API_KEY"}
    own = processes.fresh_service({**ours, "AZURE_OPENAI_ENDPOINT": "http://127.0.0.1:9"})
    own.profile_set("azure_openai_api_key", "azure-own-key")
    assert chat(own, "azure", "gpt-3.5-turbo").json()["message"] == "Azure resources not found"
    own.profile_set("azure_openai_endpoint", f"{simulator.url}/azure")
    assert chat(own, "azure", "gpt-3.5-turbo").status == 200
    assert dict(simulator.requests()[-1]["headers"])["api-key"] == "azure-own-key"
