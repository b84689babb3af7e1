"""The lists of models: what tells a right key from a wrong one at no cost."""

import pytest

from app.simulator.providers import WITH_OWN_FILE
from tests.processes import Simulator
from tests.raw import connect

from .questions import KEY, request

MODELS = {
    "openai": "/openai/v1/models",
    "azure": "/azure/openai/v1/models",
    "groq": "/groq/openai/v1/models",
    "mistral": "/mistral/v1/models",
}
DATED = "/azure/openai/models?api-version={}"
each_provider = pytest.mark.parametrize("provider", WITH_OWN_FILE)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@each_provider
def test_a_right_key_gets_a_list(simulator: Simulator, provider: str) -> None:
    answer = request(simulator, "GET", MODELS[provider], headers=KEY)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json()["object"] == "list"
    (model,) = answer.json()["data"]
    assert (model["object"], "/" in model["id"] or "-" in model["id"]) == ("model", True)
    (note,) = simulator.requests()
    assert (note["method"], note["path"], note["answered"]) == ("GET", MODELS[provider], 200)


@pytest.mark.parametrize("version", ["2024-10-21", "2025-04-01-preview"])
def test_azures_dated_versions_have_a_path_of_their_own(simulator: Simulator, version: str) -> None:
    assert request(simulator, "GET", DATED.format(version), headers={"api-key": "k"}).status == 200


@pytest.mark.parametrize("path", [DATED.format("soon"), "/azure/openai/models", "/azure/v1/models"])
def test_azure_does_not_find_a_list_without_its_version(simulator: Simulator, path: str) -> None:
    assert request(simulator, "GET", path, headers={"api-key": "k"}).status == 404


@pytest.mark.parametrize("key", ["", "sk-refused"])
@each_provider
def test_a_missing_or_refused_key_is_refused_as_in_a_chat(simulator: Simulator, provider: str, key: str) -> None:
    answer = request(simulator, "GET", MODELS[provider], headers=bearer(key) if key else {})
    chat = MODELS[provider].replace("models", "chat/completions")
    assert answer.status == 401
    assert answer.json() == request(simulator, "POST", chat, b"{}", bearer(key) if key else {}).json()


@each_provider
def test_a_list_is_not_posted_to(simulator: Simulator, provider: str) -> None:
    assert request(simulator, "POST", MODELS[provider], b"{}", KEY).status == 404


@each_provider
def test_a_key_asks_for_faults_as_a_model_does(simulator: Simulator, provider: str) -> None:
    answer = request(simulator, "GET", MODELS[provider], headers=bearer("k@status-503@retry-7"))
    assert (answer.status, answer.headers["retry-after"]) == (503, "7")
    assert request(simulator, "GET", MODELS[provider], headers=bearer("k@html")).body.startswith(b"<!doctype html>")
    moved = request(simulator, "GET", MODELS[provider], headers=bearer("k@redirect"))
    assert (moved.status, moved.headers["location"]) == (307, f"{MODELS[provider]}/redirected")
    assert request(simulator, "GET", moved.headers["location"], headers=bearer("k@redirect")).status == 200
    unknown = request(simulator, "GET", MODELS[provider], headers=bearer("k@nonsense"))
    assert (unknown.status, b"Unknown fault 'nonsense'." in unknown.body) == (400, True)


def test_a_list_can_be_as_silent_as_an_answer(simulator: Simulator) -> None:
    head = f"GET {MODELS['groq']} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer k@silent\r\n\r\n"
    with connect(simulator.port) as connection:
        connection.send(head.encode())
        assert connection.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
        assert connection.is_silent()
