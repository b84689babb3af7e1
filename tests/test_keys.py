"""Which keys the environment sets."""

from tests.client import ask
from tests.processes import Processes, Service


def test_frontends_learn_which_keys_the_environment_sets(service: Service) -> None:
    using = ask(service, "/api/keys", None, method="GET").json()["isUsingEnvKeyMap"]
    assert {name for name, is_set in using.items() if not is_set} == {"azure_openai_api_version"}
    known = {"openai", "azure", "groq", "mistral", "openai_organization_id", "azure_openai_endpoint"}
    assert known | {"azure_gpt_35_turbo_name", "azure_gpt_45_turbo_name", "azure_gpt_45_vision_name"} <= using.keys()


def test_nothing_is_set_in_an_empty_environment(processes: Processes) -> None:
    reply = ask(processes.service({}), "/api/keys", None, method="GET")
    assert not any(reply.json()["isUsingEnvKeyMap"].values())
