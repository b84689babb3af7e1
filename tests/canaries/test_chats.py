"""A provider that shows the key it was asked with: wherever that is in its answer, it goes no further."""

import pytest

from tests.canaries.house import GUEST, OWNER, PROVIDERS, House
from tests.canaries.mirror import ANSWER, CUTS, ECHOES, REFUSALS, WHOLE

SOURCES = {OWNER: "profile", GUEST: "environment"}


@pytest.mark.parametrize("mode", ["text", "sse"])
@pytest.mark.parametrize("user", SOURCES)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_no_answer_of_a_provider_shows_the_key(house: House, provider: str, user: str, mode: str) -> None:
    for name in REFUSALS:
        seen = house.chat(provider, name, mode, user)
        assert seen.status >= 400, name
        assert seen.headers["x-key-source"] == SOURCES[user]
        assert set(seen.json()) == {"message", "code", "requestId"}
    for name in CUTS:
        seen = house.chat(provider, name, mode, user)
        assert ANSWER in seen.text()
        assert not seen.whole if mode == "text" else '"error"' in seen.body.decode(), name
    for name in WHOLE:
        assert house.chat(provider, name, mode, user).text() == ANSWER
    key = f"{provider}_api_key".replace("azure", "azure_openai")
    secret = house.canaries[key if user == OWNER else key.upper()]
    assert house.mirror.asked_with(secret.value) >= len(ECHOES)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_no_check_of_a_key_shows_it(house: House, provider: str) -> None:
    name = f"{provider}_api_key".replace("azure", "azure_openai")
    before = house.mirror.asked_with(house.canaries[name].value)
    for said in ECHOES:
        house.mirror.said = said
        seen = house.ask("POST", f"/api/profile/settings/{name}/check")
        assert set(seen.json()) in ({"works"}, {"message", "code", "requestId"}), said
    assert house.mirror.asked_with(house.canaries[name].value) - before >= len(ECHOES)


def test_no_refusal_of_a_proxy_shows_what_it_was_told(house: House) -> None:
    """It is told its password. The endpoint is one of the public Internet's, to which nothing ever leaves."""
    key = house.canaries["azure_openai_api_key"].value
    before = house.mirror.asked_with("CONNECT 1.1.1.1:443")
    for endpoint, tries in (("https://1.1.1.1", ("text", "sse")), (house.mirror.origin, ())):
        assert house.put("azure_openai_endpoint", endpoint).status == 200
        assert house.put("azure_openai_api_key", key).status == 200
        for mode in tries:
            assert house.chat("azure", "401", mode).json()["code"] == "up_connect"
    assert house.mirror.asked_with("CONNECT 1.1.1.1:443") > before
