"""Whose key a provider is asked with, and that it goes where it belongs: with its organization, to its endpoint.

The two sources of an endpoint are told apart by how they write this machine's name.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import pytest

from app.config import KEY_POLICIES
from app.failure import Failure
from app.providers import PROVIDERS, Provider, account_for
from tests.client import Reply
from tests.login.users import User, mark, record, seen, somebody, told, with_login
from tests.processes import Processes, Service, Simulator, wait_for

FIRST, OWN_FIRST, ALONE = KEY_POLICIES
USED = {
    # By the policy, whether the environment has a key, and whether the profile has: whose it is.
    (FIRST, True, True): "environment",
    (FIRST, True, False): "environment",
    (FIRST, False, True): "profile",
    (FIRST, False, False): None,
    (OWN_FIRST, True, True): "profile",
    (OWN_FIRST, True, False): "environment",
    (OWN_FIRST, False, True): "profile",
    (OWN_FIRST, False, False): None,
    (ALONE, True, True): "environment",
    (ALONE, True, False): "environment",
    (ALONE, False, True): None,
    (ALONE, False, False): None,
}
MODEL = "gpt-3.5-turbo"
KEYLESS = "mistral"
"""The provider whose key no environment has here."""


class Case(NamedTuple):
    """What decides whose key it is."""

    policy: str
    in_environment: bool
    in_profile: bool

    @property
    def source(self) -> str | None:
        return USED[self]

    @property
    def missing(self) -> str:
        """How the sentence about a missing key ends."""
        is_operators = self.policy == ALONE
        who = "Whoever runs this service has to set it." if is_operators else "Please set it in your profile settings."
        return f"API Key not found. {who}"


CASES = {"-".join(map(str, case)): Case(*case) for case in USED}
WITH_KEY = {name: case for name, case in CASES.items() if case.source}
ALL_CASES = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
ALL_PROVIDERS = pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)


def everything(provider: Provider, whose: str) -> dict[str, str]:
    """Return all that can be set for a provider, each value with its source in it."""
    return {
        field.name: f"https://{whose}.example" if field.is_endpoint else f"{whose} {field.name}"
        for field in (provider.key, *provider.settings)
    }


@ALL_PROVIDERS
@ALL_CASES
def test_what_goes_with_a_key_is_of_the_source_of_the_key(case: Case, provider: Provider) -> None:
    environment, own = everything(provider, "environment"), everything(provider, "profile")
    for source, has_key in ((environment, case.in_environment), (own, case.in_profile)):
        if not has_key:
            del source[provider.key.name]
    if case.source is None:
        with pytest.raises(Failure) as failure:
            account_for(provider, own, environment, case.policy)
        assert (failure.value.code, failure.value.message) == ("missing_key", f"{provider.label} {case.missing}")
        return
    account = account_for(provider, own, environment, case.policy)
    assert account.key == f"{case.source} {provider.key.name}"
    assert account.has_operators_key == (case.source == "environment")
    for field in provider.settings:
        if field.with_key or field.operator_only:
            whose = "environment" if field.operator_only else case.source
            assert account.value(field.name) == everything(provider, whose)[field.name]
            assert not field.is_endpoint or account.base_url.startswith(f"https://{whose}.example")
    assert account.chosen_by_user == (case.source == "profile" and not provider.endpoint.operator_only)
    assert list(account.headers.values()) == [account.value(field.name) for field in provider.fields if field.header]


@ALL_PROVIDERS
@pytest.mark.parametrize("case", WITH_KEY.values(), ids=WITH_KEY)
def test_what_is_missing_beside_a_key_stays_missing(case: Case, provider: Provider) -> None:
    """The source of the key has nothing else; the other one has everything."""
    environment, own = everything(provider, "environment"), everything(provider, "profile")
    alone, other = (environment, own) if case.source == "environment" else (own, environment)
    for name in [name for name in alone if name != provider.key.name]:
        del alone[name]
    if not (case.in_environment and case.in_profile):
        del other[provider.key.name]
    if not provider.endpoint.operator_only:
        with pytest.raises(Failure) as failure:
            account_for(provider, own, environment, case.policy)
        assert (failure.value.status, failure.value.code) == (400, "missing_key")
        assert failure.value.message != f"{provider.label} {case.missing}"
        return
    account = account_for(provider, own, environment, case.policy)
    assert account.key == f"{case.source} {provider.key.name}"
    assert not any(account.value(field.name) for field in provider.settings if field.with_key)
    assert account.headers == {}


@pytest.fixture(scope="module")
def services(processes: Processes, environment: Mapping[str, str], simulator: Simulator) -> Mapping[str, Service]:
    """A service with each policy, with the environment's keys of all providers but one."""
    whole = with_login(environment, simulator)
    ours = {name: value for name, value in whole.items() if name != PROVIDERS[KEYLESS].key.variable}
    return {
        policy: processes.service(ours | ({"KEY_POLICY": policy} if policy != FIRST else {})) for policy in KEY_POLICIES
    }


def elsewhere(simulator: Simulator) -> str:
    """Return the endpoint that users set: the simulator under this machine's other name."""
    return simulator.url.replace("127.0.0.1", "localhost") + "/azure"


def sent(simulator: Simulator, text: str) -> dict[str, str]:
    """Return the headers of the one request with a text."""
    (request,) = seen(simulator, text)
    return dict(request["headers"])


def assert_source(reply: Reply, user: User, source: str | None) -> None:
    """The answer's header and the log's line say whose key it was."""
    assert reply.headers["X-Key-Source"] == source
    line = wait_for(lambda: record(user.service, reply.headers["X-Request-ID"]))
    assert (line["keySource"], line["user"]) == (source, user.id)


@ALL_CASES
def test_the_policy_says_whose_key_is_used(
    services: Mapping[str, Service], environment: Mapping[str, str], simulator: Simulator, case: Case
) -> None:
    provider = PROVIDERS["groq" if case.in_environment else KEYLESS]
    user, key, text = somebody(services[case.policy]), mark("key"), mark()
    if case.in_profile:
        user.has(**{provider.key.name: key})
    reply = user.chat(provider.name, MODEL, text=text)
    assert_source(reply, user, case.source)
    if case.source is None:
        assert told(reply) == (400, "missing_key", f"{provider.label} {case.missing}")
        assert seen(simulator, text) == []
        return
    assert reply.status == 200
    expected = key if case.source == "profile" else environment[provider.key.variable]
    assert sent(simulator, text)["authorization"] == f"Bearer {expected}"


@ALL_CASES
def test_a_user_sees_whose_is_used(services: Mapping[str, Service], case: Case) -> None:
    """An organization is of no account where the key is the other's."""
    key = (PROVIDERS["openai"] if case.in_environment else PROVIDERS[KEYLESS]).key.name
    user = somebody(services[case.policy])
    if case.in_profile:
        user.has(**{key: mark("key")})
    for name, own in (("openai_organization_id", ""), ("openai_organization_id", "org-own")):
        if own:
            user.has(**{name: own})
        shown = {one["name"]: one["source"] for one in user.ask("/api/profile").json()["settings"]}
        assert shown[key] == case.source
        if case.in_environment:
            assert shown[name] == (case.source if case.source == "environment" or own else None)


@pytest.mark.parametrize("accept", ["", "text/event-stream"])
@pytest.mark.parametrize("source", ["environment", "profile"])
def test_a_refusal_says_whose_key_was_refused(
    services: Mapping[str, Service], simulator: Simulator, source: str, accept: str
) -> None:
    user = somebody(services[OWN_FIRST])
    if source == "profile":
        user.has(groq_api_key=mark("key"))
    for fault, status in (("status-429", 429), ("status-500", 500), ("status-401", 401), ("html", 500), ("cut-0", 500)):
        reply = user.chat("groq", f"demo@{fault}", accept=accept)
        assert reply.status == status
        assert_source(reply, user, source)


def test_a_refusal_before_a_key_is_chosen_names_none(services: Mapping[str, Service]) -> None:
    user = somebody(services[FIRST])
    nobody = User(user.service, user.id, "x")
    for reply in (user.ask("/api/chat/openai", b"[]", method="POST"), nobody.chat()):
        assert reply.status in (400, 401)
        assert reply.headers["X-Key-Source"] is None


def test_a_key_that_a_provider_repeats_is_shown_to_nobody(
    services: Mapping[str, Service], environment: Mapping[str, str]
) -> None:
    user = somebody(services[OWN_FIRST]).has(groq_api_key=mark("key"))
    for provider, key in (("groq", mark("key")), ("openai", environment["OPENAI_API_KEY"])):
        if provider == "groq":
            user.has(groq_api_key=key)
        reply = user.chat(provider, "demo@echo-key")
        assert (reply.status, key in reply.body.decode()) == (400, False)
        assert "[key]" in reply.json()["message"]
        assert key not in user.service.log.read_text()


# The endpoint rule: what is mixed from two sources is not asked at all.


def test_no_environment_key_goes_to_an_endpoint_of_a_user(
    services: Mapping[str, Service], simulator: Simulator
) -> None:
    text = mark()
    user = somebody(services[FIRST]).has(azure_openai_endpoint=elsewhere(simulator))
    assert user.chat("azure", MODEL, text=text).status == 200
    assert sent(simulator, text)["host"].startswith("127.0.0.1:")


def test_no_key_of_a_user_goes_to_an_environment_endpoint(
    services: Mapping[str, Service], simulator: Simulator
) -> None:
    text, key = mark(), mark("key")
    user = somebody(services[OWN_FIRST]).has(azure_openai_api_key=key)
    assert told(user.chat("azure", MODEL, text=text)) == (400, "missing_key", "Azure resources not found")
    assert seen(simulator, text) + seen(simulator, key) == []


@pytest.mark.parametrize(
    ("address", "is_taken"),
    [
        ("https://api.example/v1/deployment", True),
        ("https://API.example:443", True),
        ("https:/nowhere", True),  # which cannot be asked at all
        ("http://api.example/v1", False),
        ("https://api.example:8443/v1", False),
        ("https://evil.example/v1", False),
        ("https://api.example@evil.example/v1", False),
    ],
)
def test_no_provider_sends_a_key_to_another_origin(address: str, is_taken: bool) -> None:  # noqa: FBT001
    asked = replace(PROVIDERS["groq"], place=lambda account, model: (address, {"model": model, "home": account.home}))
    environment = {"groq_api_key": "key", "groq_base_url": "https://api.example/v1"}
    if is_taken:
        account = account_for(asked, {}, environment, FIRST, model="demo")
        assert (account.base_url, account.query) == (address, {"model": "demo", "home": asked.base_url})
        return
    with pytest.raises(ValueError, match="another origin"):
        account_for(asked, {}, environment, FIRST, model="demo")


def test_an_address_that_is_none_is_left_as_it_is() -> None:
    """Nobody can be asked there; where a provider would go from it is not known to be the same."""
    asked = replace(PROVIDERS["groq"], place=lambda _account, _model: ("https://evil.example", {}))
    account = account_for(asked, {}, {"groq_api_key": "key", "groq_base_url": "https://\x01"}, FIRST)
    assert account.base_url == "https://\x01"


@pytest.mark.parametrize("policy", [FIRST, ALONE])
def test_no_organization_of_a_user_goes_with_another_key(
    services: Mapping[str, Service], simulator: Simulator, policy: str
) -> None:
    text = mark()
    user = somebody(services[policy]).has(openai_organization_id="org-own")
    assert user.chat(text=text).status == 200
    assert sent(simulator, text)["openai-organization"] == "org-ours"


def test_an_organization_goes_with_the_key_of_its_source(services: Mapping[str, Service], simulator: Simulator) -> None:
    user = somebody(services[OWN_FIRST]).has(openai_api_key=mark("key"))
    for own in (None, "org-own"):
        if own:
            user.has(openai_organization_id=own)
        text = mark()
        assert user.chat(text=text).status == 200
        assert sent(simulator, text).get("openai-organization") == own


def test_an_endpoint_and_a_version_go_with_their_key(
    services: Mapping[str, Service], environment: Mapping[str, str], simulator: Simulator
) -> None:
    key = mark("key")
    for policy, host, used, path in (
        (OWN_FIRST, "localhost:", key, "api-version=2024-10-21"),
        (FIRST, "127.0.0.1:", environment["AZURE_OPENAI_API_KEY"], "/azure/openai/v1/chat/completions"),
    ):
        user = somebody(services[policy]).has(azure_openai_endpoint=elsewhere(simulator), azure_openai_api_key=key)
        user.has(azure_openai_api_version="2024-10-21")
        text = mark()
        assert user.chat("azure", MODEL, text=text).status == 200
        assert seen(simulator, text)[0]["path"].endswith(path)
        headers = sent(simulator, text)
        assert headers["host"].startswith(host)
        assert headers["api-key"] == used


def test_the_name_of_a_deployment_may_come_from_either(services: Mapping[str, Service], simulator: Simulator) -> None:
    """It is a name and no secret: where it is asked for, and with whose key, is as before."""
    for policy, expected in ((OWN_FIRST, "mine"), (FIRST, "deployment-35"), (ALONE, "deployment-35")):
        text = mark()
        user = somebody(services[policy]).has(azure_openai_35_turbo_id="mine")
        assert user.chat("azure", MODEL, text=text).headers["X-Key-Source"] == "environment"
        assert seen(simulator, text)[0]["body"]["model"] == expected
