"""Whose key a provider is asked with, and that it goes where it belongs: with its organization, to its endpoint.

The two sources of an endpoint are told apart by how they write this machine's name.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import NamedTuple

import pytest

from app.config import KEY_POLICIES
from app.providers import PROVIDERS, account_for
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
VARIABLES = {name: PROVIDERS[name].key.variable for name in PROVIDERS}


class Case(NamedTuple):
    """What decides whose key it is."""

    policy: str
    in_environment: bool
    in_profile: bool

    @property
    def source(self) -> str | None:
        return USED[self]


@pytest.fixture(scope="module")
def services(
    processes: Processes, environment: Mapping[str, str], simulator: Simulator
) -> Mapping[tuple[str, bool], Service]:
    """A service with each policy, with the environment's keys and without."""
    whole = with_login(environment, simulator)
    bare = {name: value for name, value in whole.items() if name not in VARIABLES.values()}
    return {
        (policy, has): processes.service((whole if has else bare) | ({"KEY_POLICY": policy} if policy != FIRST else {}))
        for policy, has in product(KEY_POLICIES, (True, False))
    }


def elsewhere(simulator: Simulator) -> str:
    """Return the endpoint that users set: the simulator under this machine's other name."""
    return simulator.url.replace("127.0.0.1", "localhost") + "/azure"


def with_own(user: User, provider: str, key: str, simulator: Simulator) -> User:
    """Give a user a key, and what goes with it."""
    more = {
        "azure": {"azure_openai_endpoint": elsewhere(simulator)},
        "openai": {"openai_organization_id": "org-own"},
    }
    return user.has(**more.get(provider, {}), **{PROVIDERS[provider].key.name: key})


def sent(simulator: Simulator, text: str) -> dict[str, str]:
    """Return the headers of the one request with a text."""
    (request,) = seen(simulator, text)
    return dict(request["headers"])


def key_in(headers: Mapping[str, str]) -> str:
    """Return the one key that a provider was shown."""
    (shown,) = {headers[name] for name in ("authorization", "api-key") if name in headers}
    return shown.removeprefix("Bearer ")


def assert_source(reply: Reply, user: User, source: str | None) -> None:
    """The answer's header and the log's line say whose key it was."""
    assert reply.headers["X-Key-Source"] == source
    line = wait_for(lambda: record(user.service, reply.headers["X-Request-ID"]))
    assert (line["keySource"], line["user"]) == (source, user.id)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("case", [Case(*case) for case in USED], ids=lambda case: "-".join(map(str, case)))
def test_the_policy_says_whose_key_is_used(
    services: Mapping[tuple[str, bool], Service],
    environment: Mapping[str, str],
    simulator: Simulator,
    case: Case,
    provider: str,
) -> None:
    user, key, text = somebody(services[case.policy, case.in_environment]), mark("key"), mark()
    if case.in_profile:
        with_own(user, provider, key, simulator)
    reply = user.chat(provider, MODEL, text=text)
    assert_source(reply, user, case.source)
    if case.source is None:
        who = (
            "Whoever runs this service has to set it."
            if case.policy == ALONE
            else "Please set it in your profile settings."
        )
        assert told(reply) == (400, "missing_key", f"{PROVIDERS[provider].label} API Key not found. {who}")
        assert seen(simulator, text) == []
        return
    assert reply.status == 200
    headers, is_own = sent(simulator, text), case.source == "profile"
    assert key_in(headers) == (key if is_own else environment[VARIABLES[provider]])
    if provider == "openai":
        assert headers["openai-organization"] == ("org-own" if is_own else "org-ours")
    if provider == "azure":
        assert headers["host"].startswith("localhost:" if is_own else "127.0.0.1:")


@pytest.mark.parametrize("case", [Case(*case) for case in USED], ids=lambda case: "-".join(map(str, case)))
def test_a_user_sees_whose_is_used(services: Mapping[tuple[str, bool], Service], case: Case) -> None:
    """An organization is of no account where the key is the other's."""
    user = somebody(services[case.policy, case.in_environment])
    if case.in_profile:
        user.has(openai_api_key=mark("key"))
    for name, own in (("openai_organization_id", ""), ("openai_organization_id", "org-own")):
        if own:
            user.has(**{name: own})
        shown = {one["name"]: one["source"] for one in user.ask("/api/profile").json()["settings"]}
        assert shown["openai_api_key"] == case.source
        if case.source:
            assert shown[name] == (case.source if case.source == "environment" or own else None)


@pytest.mark.parametrize("accept", ["", "text/event-stream"])
@pytest.mark.parametrize("source", ["environment", "profile"])
def test_a_refusal_says_whose_key_was_refused(
    services: Mapping[tuple[str, bool], Service], simulator: Simulator, source: str, accept: str
) -> None:
    user = somebody(services[OWN_FIRST, True])
    if source == "profile":
        user.has(groq_api_key=mark("key"))
    for fault, status in (("status-429", 429), ("status-500", 500), ("status-401", 401), ("html", 500), ("cut-0", 500)):
        reply = user.chat("groq", f"demo@{fault}", accept=accept)
        assert reply.status == status
        assert_source(reply, user, source)


def test_a_refusal_before_a_key_is_chosen_names_none(services: Mapping[tuple[str, bool], Service]) -> None:
    user = somebody(services[FIRST, True])
    nobody = User(user.service, user.id, "x")
    for reply in (user.ask("/api/chat/openai", b"[]", method="POST"), nobody.chat()):
        assert reply.status in (400, 401)
        assert reply.headers["X-Key-Source"] is None


def test_a_key_that_a_provider_repeats_is_shown_to_nobody(
    services: Mapping[tuple[str, bool], Service], environment: Mapping[str, str]
) -> None:
    user = somebody(services[OWN_FIRST, True]).has(groq_api_key=mark("key"))
    for provider, key in (("groq", mark("key")), ("mistral", environment["MISTRAL_API_KEY"])):
        if provider == "groq":
            user.has(groq_api_key=key)
        reply = user.chat(provider, "demo@echo-key")
        assert (reply.status, key in reply.body.decode()) == (400, False)
        assert "[key]" in reply.json()["message"]
        assert key not in user.service.log.read_text()


# The endpoint rule: what is mixed from two sources is not asked at all.


def test_no_environment_key_goes_to_an_endpoint_of_a_user(
    processes: Processes, environment: Mapping[str, str], simulator: Simulator
) -> None:
    """Nor to one of the environment's that a user has replaced."""
    whole = with_login(environment, simulator)
    text = mark()
    user = somebody(processes.service(whole)).has(azure_openai_endpoint=elsewhere(simulator))
    assert user.chat("azure", MODEL, text=text).status == 200
    assert sent(simulator, text)["host"].startswith("127.0.0.1:")
    bare = {name: value for name, value in whole.items() if name != "AZURE_OPENAI_ENDPOINT"}
    text = mark()
    user = somebody(processes.service({**bare, "KEY_POLICY": OWN_FIRST}))
    user.has(azure_openai_endpoint=elsewhere(simulator))
    assert told(user.chat("azure", MODEL, text=text)) == (400, "missing_key", "Azure resources not found")
    assert seen(simulator, text) == []


@pytest.mark.parametrize(("policy", "has"), [(FIRST, False), (OWN_FIRST, True), (OWN_FIRST, False)])
def test_no_key_of_a_user_goes_to_an_environment_endpoint(
    services: Mapping[tuple[str, bool], Service], simulator: Simulator, policy: str, *, has: bool
) -> None:
    text, key = mark(), mark("key")
    user = somebody(services[policy, has]).has(azure_openai_api_key=key)
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
    services: Mapping[tuple[str, bool], Service], simulator: Simulator, policy: str
) -> None:
    text = mark()
    user = somebody(services[policy, True]).has(openai_organization_id="org-own")
    assert user.chat(text=text).status == 200
    assert sent(simulator, text)["openai-organization"] == "org-ours"


def test_no_environment_organization_goes_with_a_key_of_a_user(
    services: Mapping[tuple[str, bool], Service], simulator: Simulator
) -> None:
    for policy, has in ((OWN_FIRST, True), (FIRST, False)):
        text = mark()
        user = somebody(services[policy, has]).has(openai_api_key=mark("key"))
        assert user.chat(text=text).status == 200
        assert "openai-organization" not in sent(simulator, text)


def test_a_version_goes_with_the_key_of_its_source(
    services: Mapping[tuple[str, bool], Service], simulator: Simulator
) -> None:
    for policy, path in ((OWN_FIRST, "api-version=2024-10-21"), (FIRST, "/azure/openai/v1/chat/completions")):
        text = mark()
        user = with_own(somebody(services[policy, True]), "azure", mark("key"), simulator)
        user.has(azure_openai_api_version="2024-10-21")
        assert user.chat("azure", MODEL, text=text).status == 200
        assert seen(simulator, text)[0]["path"].endswith(path)


def test_the_name_of_a_deployment_may_come_from_either(
    services: Mapping[tuple[str, bool], Service], simulator: Simulator
) -> None:
    """It is a name and no secret: where it is asked for, and with whose key, is as before."""
    for policy, expected in ((OWN_FIRST, "mine"), (FIRST, "deployment-35"), (ALONE, "deployment-35")):
        text = mark()
        user = somebody(services[policy, True]).has(azure_openai_35_turbo_id="mine")
        assert user.chat("azure", MODEL, text=text).headers["X-Key-Source"] == "environment"
        assert seen(simulator, text)[0]["body"]["model"] == expected
