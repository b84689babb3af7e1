"""Which keys the environment sets."""

from collections.abc import Mapping
from pathlib import Path

from app import create_app, read_settings
from tests.client import ask
from tests.login.users import User, mark, somebody, told, with_login
from tests.processes import Processes, Service, Simulator


def test_frontends_learn_which_keys_the_environment_sets(service: Service) -> None:
    using = ask(service, "/api/keys", None, method="GET").json()["isUsingEnvKeyMap"]
    assert {name for name, is_set in using.items() if not is_set} == {"azure_openai_api_version"}
    known = {"openai", "azure", "groq", "mistral", "openai_organization_id", "azure_openai_endpoint"}
    assert known | {"azure_gpt_35_turbo_name", "azure_gpt_45_turbo_name", "azure_gpt_45_vision_name"} <= using.keys()


def test_nothing_is_set_in_an_empty_environment(tmp_path: Path) -> None:
    client = create_app(read_settings({"DATABASE_URL": f"sqlite:///{tmp_path}/sluice.db"})).test_client()
    assert not any(client.get("/api/keys").get_json()["isUsingEnvKeyMap"].values())


def test_it_is_told_to_users_and_of_the_environment_alone(
    processes: Processes, environment: Mapping[str, str], simulator: Simulator
) -> None:
    user = somebody(processes.service(with_login(environment, simulator)))
    before = user.ask("/api/keys").json()
    assert user.has(azure_openai_api_version="2024-10-21", groq_api_key=mark("key")).ask("/api/keys").json() == before
    assert told(User(user.service, user.id, "x").ask("/api/keys"))[:2] == (401, "unauth")
    assert told(ask(user.service, "/api/keys", None, method="GET"))[:2] == (401, "unauth")
