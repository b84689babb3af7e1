"""A provider is one file: with its record alone it is shown, simulated and asked."""

import json

import pytest

from app.simulator import ANSWER
from tests.client import ask, chat
from tests.processes import Processes, Service, Simulator

MODULE = "tests.providers.added"


@pytest.fixture(scope="module")
def simulator(processes: Processes) -> Simulator:
    return processes.simulator(MODULE)


@pytest.fixture(scope="module")
def service(processes: Processes, simulator: Simulator) -> Service:
    return processes.service(simulator.settings["newcomer"], f"gunicorn {MODULE}:app")


def test_a_new_provider_is_simulated_by_its_record(simulator: Simulator) -> None:
    address = f"{simulator.url}/newcomer"
    assert simulator.settings["newcomer"] == {"NEWCOMER_API_KEY": "simulated", "NEWCOMER_BASE_URL": address}


def test_a_new_provider_is_shown_and_can_be_asked(service: Service) -> None:
    shown = ask(service, "/api/providers", None, method="GET").json()["providers"][-1]
    assert (shown["name"], shown["label"], shown["models"]) == ("newcomer", "Newcomer", ["newcomer-1"])
    assert shown["usable"]


@pytest.mark.parametrize("accept", ["", "text/event-stream"])
def test_a_new_provider_streams_an_answer(service: Service, accept: str) -> None:
    reply = chat(service, "newcomer", "newcomer-1", accept=accept)
    assert (reply.status, reply.cut) == (200, False)
    said = [event["delta"] for event in reply.events() if isinstance(event, dict) and event["type"] == "text-delta"]
    assert ("".join(said) if accept else reply.body.decode()) == ANSWER


def test_the_key_of_a_new_provider_is_checked(service: Service) -> None:
    path = "/api/profile/settings/newcomer_api_key"
    for key, status in {"wrong-key": 401, "sk-any": 200}.items():
        assert ask(service, path, json.dumps({"value": key}).encode(), method="PUT").status == 200
        assert ask(service, f"{path}/check", b"").status == status
