"""Settings that are tried: the provider is asked whether it takes them, and nobody else learns them."""

import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.providers import PROVIDERS, Provider
from tests.client import Reply
from tests.login.users import NOBODY_LISTENS, User, invoke, latest, mark, seen, somebody, told
from tests.machine import slack
from tests.processes import Processes, Service, Simulator, wait_for

KEYS = {provider.key.name: provider for provider in PROVIDERS.values()}


def with_key(user: User, provider: str, key: str, simulator: Simulator) -> User:
    """Give somebody a key, and Azure's endpoint."""
    endpoint = {"azure_openai_endpoint": f"{simulator.url}/azure"} if provider == "azure" else {}
    return user.has(**endpoint, **{PROVIDERS[provider].key.name: key})


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_key_that_works_is_told_so_by_the_provider_at_no_cost(user: User, simulator: Simulator, name: str) -> None:
    key = mark("key")
    with_key(user, name, key, simulator)
    reply = user.check(PROVIDERS[name].key.name)
    assert (reply.status, reply.json()) == (200, {"works": True})
    (request,) = seen(simulator, key)
    assert (request["method"], request["answered"]) == ("GET", 200)
    assert request["path"].startswith(f"/{name}/")
    assert not {"sk-openai-canary-1", "org-ours", "azure-canary-4"} & set(dict(request["headers"]).values())


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_key_that_does_not_work_is_told_in_a_sentence(user: User, simulator: Simulator, name: str) -> None:
    with_key(user, name, "wrong-key", simulator)
    sentence = f"{PROVIDERS[name].label} API Key is incorrect. Please fix it in your profile settings."
    assert told(user.check(PROVIDERS[name].key.name)) == (401, "provider_auth", sentence)


@pytest.mark.parametrize(("name", "provider"), KEYS.items(), ids=KEYS)
def test_without_a_key_in_the_profile_there_is_nothing_to_try(
    user: User, simulator: Simulator, name: str, provider: Provider
) -> None:
    """The environment's is not the user's to try."""
    before = latest(simulator)
    sentence = f"{provider.label} API Key not found. Please set it in your profile settings."
    assert told(user.check(name)) == (400, "missing_key", sentence)
    assert latest(simulator) == before


def test_an_organization_is_tried_with_its_key(user: User, simulator: Simulator) -> None:
    key = mark("key")
    user.has(openai_api_key=key, openai_organization_id="org-own")
    assert user.check("openai_organization_id").status == 200
    (request,) = seen(simulator, key)
    assert dict(request["headers"])["openai-organization"] == "org-own"


def test_azure_is_tried_at_an_endpoint_of_the_profile_only(user: User, simulator: Simulator) -> None:
    key = mark("key")
    user.has(azure_openai_api_key=key)
    assert told(user.check("azure_openai_api_key")) == (400, "missing_key", "Azure resources not found")
    user.has(azure_openai_endpoint=NOBODY_LISTENS, azure_openai_api_key=key)
    assert told(user.check("azure_openai_api_key")) == (500, "up_connect", "The provider could not be reached.")
    assert seen(simulator, key) == []
    user.has(azure_openai_endpoint=f"{simulator.url}/azure", azure_openai_api_version="2024-10-21")
    user.has(azure_openai_api_key=key)
    assert user.check("azure_openai_endpoint").json() == {"works": True}
    assert seen(simulator, key)[0]["path"].endswith("/openai/models?api-version=2024-10-21")


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("status-429@retry-7", 429, "provider_rate_limited"),
        ("status-403", 403, "provider_denied"),
        ("status-500", 500, "provider_error"),
        ("status-503@html", 503, "provider_overloaded"),
        ("redirect", 500, "up_redirect"),
        ("echo-key", 400, "provider_bad_request"),
    ],
)
@pytest.mark.parametrize("name", PROVIDERS)
def test_what_a_provider_says_of_a_key_is_told_without_the_key(
    user: User, simulator: Simulator, name: str, fault: str, status: int, code: str
) -> None:
    key = f"{mark('key')}@{fault}"
    reply = with_key(user, name, key, simulator).check(PROVIDERS[name].key.name)
    assert told(reply)[:2] == (status, code)
    assert reply.headers["Retry-After"] == ("7" if "retry" in fault else None)
    assert key not in reply.body.decode()
    assert len(seen(simulator, key)) == 1


@pytest.fixture(scope="module")
def strict(processes: Processes, login_environment: Mapping[str, str]) -> Service:
    """A service in which a user may do little, and nothing at once."""
    return processes.service({**login_environment, "RATE_LIMIT": "4/minute", "MAX_STREAMS_PER_USER": "1"})


def test_one_check_at_a_time_is_made_and_silence_given_up(strict: Service, simulator: Simulator) -> None:
    key = f"{mark('key')}@hang"
    user = somebody(strict).has(groq_api_key=key)
    started = time.monotonic()
    with ThreadPoolExecutor() as pool:
        trying = pool.submit(user.check, "groq_api_key")
        wait_for(lambda: seen(simulator, key))
        for reply in (user.check("groq_api_key"), user.chat()):
            assert told(reply)[:2] == (429, "rate_limited")
            assert int(reply.headers["Retry-After"]) > 0
        assert not trying.done()
        reply = trying.result()
    assert told(reply) == (500, "up_timeout", "The server at 127.0.0.1 took too long to answer. Please try again.")
    assert 5 < time.monotonic() - started < 8 + 2 * slack()
    assert len(seen(simulator, key)) == 1


def test_changes_and_tries_count_as_chats_do_and_a_look_does_not(strict: Service, simulator: Simulator) -> None:
    user, other, key = somebody(strict), somebody(strict), mark("key")
    user.has(groq_api_key=key)
    assert user.check("groq_api_key").status == 200
    assert user.chat().status == 200
    assert user.delete("nothing").status == 404
    before = latest(simulator)
    for reply in (user.put("groq_api_key", "x"), user.delete("groq_api_key"), user.check("groq_api_key"), user.chat()):
        assert told(reply)[:2] == (429, "rate_limited")
        assert re.fullmatch(r"You have asked too often\. Please try again in \d+ seconds\.", told(reply)[2])
        assert 0 < int(reply.headers["Retry-After"]) <= 61
    assert latest(simulator) == before
    assert [user.own() for _ in range(5)] == [{"groq_api_key": key[-4:]}] * 5
    assert user.ask("/api/keys").status == 200
    assert other.chat().status == 200


def test_a_key_comes_back_in_no_answer_no_log_and_no_database(user: User, simulator: Simulator) -> None:
    """Not its middle either, of which nothing is ever shown."""
    canary = mark("canary")
    replies = list(everything(user, canary, simulator))
    assert len(replies) > 30
    for reply in replies:
        assert canary not in reply.body.decode() + str(reply.headers)
    assert canary not in user.service.log.read_text()
    folder = user.service.database.parent
    for path in folder.iterdir():
        assert canary.encode() not in path.read_bytes(), path
    shown = invoke(user.service, "profile", "show", "--user", user.id)
    assert user.own().keys() <= {line.split()[0] for line in shown.stdout.splitlines() if "profile" in line}
    assert canary not in shown.stdout + shown.stderr


def everything(user: User, canary: str, simulator: Simulator) -> Iterator[Reply]:
    """Do all that can be done with keys of every provider."""
    for name, provider in PROVIDERS.items():
        for fault in ("", "@echo-key", "@status-401", "@redirect"):
            yield with_key(user, name, f"sk-{canary}-end{fault}", simulator).ask("/api/profile")
            yield user.put(provider.key.name, f"sk-{canary}-end{fault}")
            yield user.check(provider.key.name)
        yield user.put(provider.key.name, f"sk-{canary} with spaces")
        yield user.put(f"{provider.key.name}x", f"sk-{canary}")
        yield user.delete(provider.key.name)
        yield user.chat(name)
    yield user.put("azure_openai_endpoint", f"https://{canary}@evil.example")
    yield user.ask("/api/keys")
