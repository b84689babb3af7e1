"""Whether a key works: what every provider is asked, and what it says to a right and to a wrong one."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from time import monotonic
from urllib.parse import urlsplit

import pytest

from app import upstream as asking
from app.config import Settings
from app.failure import Failure
from app.providers import PROVIDERS, Provider, Sources, account_for
from app.upstream import Upstream
from tests.machine import slack
from tests.processes import Simulator

pytestmark = pytest.mark.usefixtures("_no_authorities")

Whose = Callable[..., Sources]

SENT: dict[str, tuple[str, dict[str, str]]] = {
    "openai": (
        "/openai/v1/models",
        {"authorization": "Bearer sk-openai-canary-1", "openai-organization": "org-ours"},
    ),
    "azure": ("/azure/openai/v1/models", {"api-key": "azure-canary-4"}),
}


@pytest.fixture
def upstream(simulator: Simulator) -> Iterator[Upstream]:
    """One that lets users choose the simulator."""
    with closing(Upstream(Settings(connect_timeout_seconds=5, endpoint_allowlist=(simulator.url,)))) as made:
        yield made


@pytest.fixture
def asked(provider: str) -> Provider:
    return PROVIDERS[provider]


def named(environment: Mapping[str, str], asked: Provider, **changes: str) -> dict[str, str]:
    """Return a provider's settings of an environment, by their names in a profile."""
    known = {setting.name: environment.get(setting.variable, "") for setting in (asked.key, *asked.settings)}
    return {name: value for name, value in {**known, **changes}.items() if value}


def operators(environment: Mapping[str, str], asked: Provider, **changes: str) -> Sources:
    """Return a profile that has nothing itself."""
    return Sources({}, named(environment, asked, **changes), "environment-first")


def users(environment: Mapping[str, str], asked: Provider, **changes: str) -> Sources:
    """Return a profile that has everything itself, but for what only the operator may set."""
    settings = named(environment, asked, **changes)
    fixed = {setting.name for setting in asked.settings if setting.operator_only}
    own = {name: value for name, value in settings.items() if name not in fixed}
    operators = {name: value for name, value in settings.items() if name in fixed}
    return Sources(own, operators, "environment-first")


def check(asked: Provider, sources: Sources, upstream: Upstream) -> None:
    upstream.check(account_for(asked, *sources), asked.dialect)


def plain(environment: Mapping[str, str], asked: Provider) -> tuple[str, dict[str, str]]:
    """Return what is expected of a provider that has nothing of its own but its record."""
    path = f"/{asked.name}{urlsplit(asked.base_url).path}/models"
    return path, {"authorization": f"Bearer {environment[asked.key.variable]}"}


def refusal(asked: Provider, sources: Sources, upstream: Upstream) -> Failure:
    with pytest.raises(Failure) as failure:
        check(asked, sources, upstream)
    return failure.value


@pytest.mark.parametrize("whose", [operators, users])
def test_a_right_key_is_taken_and_nothing_else_leaves(
    simulator: Simulator,
    environment: Mapping[str, str],
    asked: Provider,
    upstream: Upstream,
    monkeypatch: pytest.MonkeyPatch,
    whose: Whose,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    check(asked, whose(environment, asked), upstream)
    seen = simulator.requests()[-1]
    path, headers = SENT.get(asked.name) or plain(environment, asked)
    assert (seen["method"], seen["path"], seen["body"], seen["answered"]) == ("GET", path, None, 200)
    assert dict(seen["headers"]) == {
        "host": simulator.url.removeprefix("http://"),
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": "sluice",
        **headers,
    }


@pytest.mark.parametrize("whose", [operators, users])
def test_a_wrong_key_is_named_as_for_a_chat(
    environment: Mapping[str, str], asked: Provider, upstream: Upstream, whose: Whose
) -> None:
    failure = refusal(asked, whose(environment, asked, **{asked.key.name: "wrong-key"}), upstream)
    assert (failure.status, failure.code) == (401, "provider_auth")
    who = (
        "Whoever runs this service has to fix it." if whose is operators else "Please fix it in your profile settings."
    )
    assert failure.message == f"{asked.label} API Key is incorrect. {who}"


@pytest.mark.parametrize("fault", ["hang", "late-30"])
def test_a_provider_that_is_silent_is_given_up_in_time(
    environment: Mapping[str, str],
    asked: Provider,
    upstream: Upstream,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    monkeypatch.setattr(asking, "CHECK_SECONDS", 0.4)
    started = monotonic()
    failure = refusal(asked, operators(environment, asked, **{asked.key.name: f"key@{fault}"}), upstream)
    assert (failure.status, failure.code) == (500, "up_timeout")
    name = asked.label if asked.name == "azure" else "The server at 127.0.0.1"
    assert failure.message == f"{name} took too long to answer. Please try again."
    assert 0.4 <= monotonic() - started < 3 * slack()


def test_a_list_that_never_comes_is_not_waited_for(
    environment: Mapping[str, str], asked: Provider, upstream: Upstream
) -> None:
    started = monotonic()
    check(asked, operators(environment, asked, **{asked.key.name: "key@silent"}), upstream)
    assert monotonic() - started < 3 * slack()


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("status-403", 403, "provider_denied"),
        ("status-500", 500, "provider_error"),
        ("status-503@html", 503, "provider_overloaded"),
        ("status-429", 429, "provider_rate_limited"),
        ("redirect", 500, "up_redirect"),
    ],
)
def test_what_else_a_provider_says_is_told_and_not_asked_for_again(
    simulator: Simulator,
    environment: Mapping[str, str],
    asked: Provider,
    upstream: Upstream,
    fault: str,
    status: int,
    code: str,
) -> None:
    before = simulator.requests()[-1:]
    failure = refusal(asked, operators(environment, asked, **{asked.key.name: f"key@{fault}"}), upstream)
    assert (failure.status, failure.code) == (status, code)
    assert simulator.requests()[-1]["id"] == (before[0]["id"] if before else 0) + 1


def test_a_key_in_the_provider_s_words_is_not_passed_on(
    environment: Mapping[str, str], asked: Provider, upstream: Upstream
) -> None:
    failure = refusal(asked, operators(environment, asked, **{asked.key.name: "canary@echo-key"}), upstream)
    assert "[key]" in failure.message
    assert "canary" not in failure.message


@pytest.mark.parametrize("provider", ["azure"])
def test_azures_dated_versions_are_asked_on_their_own_path(
    simulator: Simulator, environment: Mapping[str, str], asked: Provider, upstream: Upstream
) -> None:
    check(asked, operators(environment, asked, azure_openai_api_version="2024-10-21"), upstream)
    assert simulator.requests()[-1]["path"] == "/azure/openai/models?api-version=2024-10-21"


@pytest.mark.parametrize("provider", ["azure"])
def test_azure_without_an_endpoint_is_told_as_for_a_chat(
    environment: Mapping[str, str], asked: Provider, upstream: Upstream
) -> None:
    failure = refusal(asked, users(environment, asked, azure_openai_endpoint=""), upstream)
    assert (failure.status, failure.code, failure.message) == (400, "missing_key", "Azure resources not found")


@pytest.mark.parametrize("provider", ["azure"])
def test_azure_at_an_endpoint_that_no_user_may_choose_is_not_asked(
    simulator: Simulator, environment: Mapping[str, str], asked: Provider
) -> None:
    before = simulator.requests()
    with closing(Upstream(Settings(connect_timeout_seconds=5))) as strict:
        assert refusal(asked, users(environment, asked), strict).code == "blocked_endpoint"
        assert simulator.requests() == before
        check(asked, operators(environment, asked), strict)
