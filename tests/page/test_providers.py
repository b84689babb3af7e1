"""The providers on the page are those that the service tells of, whoever they are."""

from collections.abc import Iterator, Mapping

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from app.providers import PROVIDERS
from app.simulator import ANSWER
from tests.page.chat import CHAT, answer, ask, body
from tests.page.panel import KEY, open_panel, saved
from tests.page.people import token
from tests.page.tab import opened
from tests.processes import Processes, Service

TOLD = "**/api/providers"
DOWN = {"message": "The profiles cannot be read at the moment.", "code": "db_unavailable"}
UNKNOWN = {"name": "new", "label": "<b>New</b>", "models": ["new-1", "new-2"], "fields": [], "usable": True}
REFUSE = {"status": 503, "json": DOWN}


@pytest.fixture
def groqs(browser: Browser, operators: Service) -> Iterator[Page]:
    with opened(browser, operators) as page:
        yield page


@pytest.fixture
def held(page: Page) -> list[Route]:
    """The page, reloaded, before it is told of the providers: what it has asked for and got no answer to."""
    routes: list[Route] = []
    page.route(TOLD, lambda route: routes.append(route))  # noqa: PLW0108 - a builtin method is no handler to Playwright
    with page.expect_request(TOLD):
        page.reload(wait_until="commit")
    return routes


def test_the_providers_are_offered_in_their_order(page: Page) -> None:
    options = page.locator("#provider option")
    expect(options).to_have_text([provider.label for provider in PROVIDERS.values()])
    for name, provider in PROVIDERS.items():
        page.select_option("#provider", name)
        expect(page.locator("#model")).to_have_attribute("placeholder", provider.models[0])
        assert page.locator("#models option").all_text_contents() == list(provider.models)


def test_the_first_provider_that_can_be_asked_is_chosen(groqs: Page) -> None:
    expect(groqs.locator("#provider")).to_have_value("groq")
    expect(groqs.locator("#model")).to_have_attribute("placeholder", PROVIDERS["groq"].models[0])


def test_the_first_of_all_is_chosen_where_none_can_be_asked(tab: Page) -> None:
    expect(tab.locator("#provider")).to_have_value(next(iter(PROVIDERS)))


def test_a_provider_that_the_page_never_heard_of_is_offered(page: Page) -> None:
    page.route(TOLD, lambda route: route.fulfill(json={"providers": [UNKNOWN], "protocols": []}))
    page.reload()
    expect(page.locator("#provider option")).to_have_text(["<b>New</b>"])
    page.fill("#message", "Hello?")
    with page.expect_request("**/api/chat/new") as request:
        page.press("#message", "Enter")
    assert body(request.value)["chatSettings"] == {"model": "new-1"}
    expect(page.get_by_role("alert")).to_be_visible()  # our service has no such provider


def test_who_asks_before_the_providers_are_told_is_answered(page: Page, held: list[Route]) -> None:
    page.fill("#message", "Hello?")
    page.press("#message", "Enter")
    expect(page.locator("#stop")).to_be_visible()
    with page.expect_request(CHAT) as request:
        held[0].continue_()
    assert body(request.value)["chatSettings"] == {"model": PROVIDERS["openai"].models[0]}
    assert answer(page, "done") == ANSWER
    expect(page.locator(".from")).to_have_text(PROVIDERS["openai"].models[0])


def test_a_model_that_is_typed_meanwhile_stays(page: Page, held: list[Route]) -> None:
    page.fill("#model", "gpt-4o")
    held[0].continue_()
    expect(page.locator("#provider")).to_have_value("openai")
    expect(page.locator("#model")).to_have_value("gpt-4o")


def test_stop_does_not_wait_for_the_providers(page: Page, held: list[Route]) -> None:
    ask(page, "Hello?")
    page.click("#stop")
    expect(page.locator("#message")).to_have_value("Hello?")
    expect(page.locator(".answer")).to_have_count(0)
    held[0].continue_()


def test_providers_that_are_not_told_are_asked_for_again(page: Page) -> None:
    page.route(TOLD, lambda route: route.fulfill(**REFUSE), times=2)
    page.reload()
    for _ in range(2):
        expect(page.get_by_role("alert")).to_have_text(DOWN["message"])
        expect(page.locator("#provider option")).to_have_count(0)
        ask(page, "Hello?")
    assert answer(page, "done") == ANSWER
    expect(page.locator("#error")).to_be_hidden()
    expect(page.locator("#provider")).to_have_value("openai")


def test_without_the_providers_a_question_is_given_back(page: Page) -> None:
    page.route(TOLD, lambda route: route.abort("connectionrefused"))
    page.reload()
    ask(page, "Hello?")
    expect(page.get_by_role("alert")).to_contain_text("could not be reached")
    expect(page.locator("#message")).to_have_value("Hello?")
    expect(page.locator(".answer")).to_have_count(0)


def test_a_visit_to_the_settings_brings_the_providers(page: Page) -> None:
    page.route(TOLD, lambda route: route.fulfill(**REFUSE), times=1)
    page.reload()
    expect(page.get_by_role("alert")).to_have_text(DOWN["message"])
    page.click("text=Settings")
    expect(page.get_by_text("Signed in as local")).to_be_visible()
    expect(page.get_by_label("Azure OpenAI API version", exact=True)).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator("#provider")).to_have_value("openai")
    expect(page.locator("#error")).to_be_hidden()


def test_a_provider_that_gets_its_first_key_is_chosen(tab: Page) -> None:
    tab.click("text=Settings")
    tab.locator("summary", has_text="Mistral").click()
    saved(tab.get_by_role("dialog"), "Mistral API key", KEY)
    tab.keyboard.press("Escape")
    expect(tab.locator("#provider")).to_have_value("mistral")
    expect(tab.locator("#model")).to_have_attribute("placeholder", PROVIDERS["mistral"].models[0])


def test_the_provider_that_a_user_chose_stays(tab: Page) -> None:
    panel = open_panel(tab, "azure")
    panel.locator("summary", has_text="Groq").click()
    saved(panel, "Groq API key", KEY)
    with tab.expect_response(TOLD):
        tab.keyboard.press("Escape")
    tab.fill("#message", "Hello?")
    with tab.expect_request("**/api/chat/azure"):
        tab.press("#message", "Enter")
    expect(tab.locator("#provider")).to_have_value("azure")


def test_a_title_and_an_example_are_the_ones_of_the_record(tab: Page) -> None:
    panel = open_panel(tab, "azure")
    for field in PROVIDERS["azure"].own_fields:
        shown = panel.get_by_label(f"Azure OpenAI {field.title}", exact=True)
        expect(shown).to_have_attribute("placeholder", "Paste a key" if field.is_secret else field.example)
    deployments = panel.get_by_label("Azure OpenAI Deployments of other models (JSON)", exact=True)
    assert deployments.evaluate("field => field.tagName") == "TEXTAREA"


@pytest.fixture(scope="module")
def guarded(processes: Processes, addresses: Mapping[str, str]) -> Service:
    """A service that knows nobody without a token, and has keys of its own for Mistral."""
    login = {"AUTH_JWT_SECRET": "s" * 32, "AUTH_JWT_AUDIENCE": "a", "AUTH_JWT_ISSUER": "https://id.example"}
    return processes.service({**addresses, **login, "MISTRAL_API_KEY": "mistral-canary-3"})


def test_signing_in_chooses_a_provider_that_can_be_asked(browser: Browser, guarded: Service) -> None:
    with opened(browser, guarded) as page:
        expect(page.locator("#provider")).to_have_value("openai")
        page.locator("#remedy", has_text="Sign in").click()
        page.fill("#token", token(guarded, "alice"))
        page.keyboard.press("Enter")
        expect(page.get_by_text("Signed in as alice")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("#provider")).to_have_value("mistral")
