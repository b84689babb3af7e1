"""Signing in: a token for a service that wants one, nothing where the browser has the login of the site."""

import json
import re
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping

import jwt
import pytest
from playwright.sync_api import Browser, Page, expect

from app.simulator import ANSWER
from tests.page.chat import CHAT, answer, ask
from tests.page.people import token
from tests.page.tab import opened
from tests.processes import Processes, Service

SECRET = "a-secret-of-an-identity-provider-of-tests"
NOBODY = "You are not signed in. Please sign in first."
UNKNOWN = "This token is not known. Please check that it is whole; it may also have expired, or been revoked."
KEPT = "JSON.stringify(sessionStorage)"
ELSEWHERE = "document.documentElement.outerHTML + JSON.stringify(localStorage) + document.cookie"


@pytest.fixture(scope="module")
def guarded(processes: Processes, addresses: Mapping[str, str]) -> Service:
    """The service with an identity provider, to whom nobody is local."""
    claims = {"AUTH_JWT_SECRET": SECRET, "AUTH_JWT_AUDIENCE": "authenticated", "AUTH_JWT_ISSUER": "https://id.example"}
    return processes.service({**addresses, **claims, "OPENAI_API_KEY": "sk-openai-canary-1"})


@pytest.fixture(scope="module")
def alice(guarded: Service) -> str:
    return token(guarded, "alice")


@pytest.fixture
def tab(browser: Browser, guarded: Service) -> Iterator[Page]:
    with opened(browser, guarded) as tab:
        yield tab


def session(user: str) -> str:
    """A token of the identity provider."""
    claims = {"sub": user, "aud": "authenticated", "iss": "https://id.example", "exp": int(time.time()) + 600}
    return jwt.encode(claims, SECRET, "HS256")


def sign_in(page: Page, given: str) -> None:
    """Follow the page's own offer, and sign in."""
    page.locator("#remedy", has_text="Sign in").click()
    expect(page.get_by_label("Token")).to_be_focused()
    page.fill("#token", given)
    page.keyboard.press("Enter")


def signed_in(page: Page, given: str, user: str) -> None:
    sign_in(page, given)
    expect(page.get_by_text(f"Signed in as {user}")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#message")).to_be_focused()


def test_a_token_signs_in_for_the_next_visit_of_this_tab_too(tab: Page, alice: str) -> None:
    expect(tab.get_by_role("alert")).to_have_text(NOBODY)
    signed_in(tab, alice, "alice")
    expect(tab.locator("#error")).to_be_hidden()
    with tab.expect_request(CHAT) as request:
        ask(tab, "Hello?")
    assert request.value.headers["authorization"] == f"Bearer {alice}"
    assert answer(tab, "done") == ANSWER
    tab.reload()
    tab.click("text=Settings")
    expect(tab.get_by_text("Signed in as alice")).to_be_visible()
    assert alice in tab.evaluate(KEPT)
    assert alice not in tab.evaluate(ELSEWHERE)
    assert tab.input_value("#token") == ""
    other = tab.context.new_page()
    other.goto(tab.url)
    expect(other.get_by_role("alert")).to_have_text(NOBODY)


def test_signing_out_leaves_nothing_of_the_user_in_the_tab(tab: Page, alice: str) -> None:
    signed_in(tab, alice, "alice")
    ask(tab, "A private question")
    assert answer(tab, "done") == ANSWER
    tab.click("text=Settings")
    tab.get_by_role("button", name="Sign out").click()
    expect(tab.get_by_role("alert")).to_have_text(NOBODY)
    assert tab.evaluate(KEPT) == "{}"
    held = tab.content()
    assert "alice" not in held
    assert "A private question" not in held


def test_a_token_that_is_not_known_is_said_so_and_not_kept(tab: Page) -> None:
    sign_in(tab, "sluice_nobodys")
    for given in (f"sluice_{'x' * 43}", "a.b.c", "Bearer x y"):
        expect(tab.get_by_role("dialog").get_by_role("alert")).to_have_text(UNKNOWN)
        expect(tab.get_by_label("Token")).to_be_focused()
        expect(tab.get_by_label("Token")).to_have_value("")
        assert tab.evaluate(KEPT) == "{}"
        with tab.expect_response("**/api/profile") as response:
            tab.keyboard.type(given)
            tab.keyboard.press("Enter")
        assert response.value.status == 401


def test_what_can_be_no_token_is_not_sent_to_the_service(tab: Page) -> None:
    sign_in(tab, "")
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    for given in ("  ", "ключ 🔑"):
        expect(tab.get_by_role("dialog").get_by_role("alert")).to_have_text(re.compile("^This is no token."))
        tab.fill("#token", given)
        tab.keyboard.press("Enter")
        expect(tab.get_by_label("Token")).to_have_value("")
    assert asked == []


def test_a_token_that_could_not_be_looked_up_is_not_kept(tab: Page, alice: str) -> None:
    sentence = "The profiles cannot be read at the moment. Please try again in a few seconds."
    refusal = {"message": sentence, "code": "db_unavailable"}
    tab.locator("#remedy").click()
    expect(tab.locator("#token")).to_be_focused()
    tab.fill("#token", alice)
    tab.route("**/api/profile", lambda route: route.fulfill(status=503, json=refusal), times=1)
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("dialog").get_by_role("alert")).to_have_text(sentence)
    assert tab.evaluate(KEPT) == "{}"
    tab.get_by_role("button", name="Try again").click()
    expect(tab.get_by_label("Token")).to_be_visible()


def test_a_token_is_taken_with_what_was_copied_along(tab: Page, alice: str) -> None:
    signed_in(tab, f"  Bearer {alice[:20]} {alice[20:]} ", "alice")


def test_a_token_of_the_identity_provider_is_as_good(tab: Page) -> None:
    signed_in(tab, session("carol"), "carol")


def test_a_user_whose_login_ended_signs_in_and_goes_on(tab: Page, alice: str) -> None:
    signed_in(tab, alice, "alice")
    ask(tab, "One?")
    assert answer(tab, "done") == ANSWER
    refusal = {"message": "User not found", "code": "unauth"}
    tab.route(CHAT, lambda route: route.fulfill(status=401, json=refusal), times=1)
    ask(tab, "Two?")
    expect(tab.get_by_role("alert")).to_have_text(UNKNOWN)
    signed_in(tab, alice, "alice")
    expect(tab.locator("#message")).to_have_value("Two?")
    expect(tab.locator(".answer")).to_have_count(1)
    tab.keyboard.press("Enter")
    expect(tab.locator(".answer[data-state=done]")).to_have_count(2)


def test_another_user_gets_a_page_without_the_conversation(tab: Page, alice: str) -> None:
    signed_in(tab, alice, "alice")
    ask(tab, "A private question")
    assert answer(tab, "done") == ANSWER
    refusal = {"message": "User not found", "code": "unauth"}
    tab.route("**/api/profile", lambda route: route.fulfill(status=401, json=refusal), times=1)
    tab.click("text=Settings")
    tab.get_by_label("Token").fill(session("bob"))
    with tab.expect_event("load"):  # of the page that has nothing of the conversation
        tab.keyboard.press("Enter")
    expect(tab.locator("article")).to_have_count(0)
    tab.click("text=Settings")
    expect(tab.get_by_text("Signed in as bob")).to_be_visible()
    assert "private" not in tab.content()


def test_the_login_of_the_site_needs_no_token(browser: Browser, guarded: Service) -> None:
    kept = json.dumps({"access_token": session("dora"), "token_type": "bearer"}).encode()
    value = "base64-" + urlsafe_b64encode(kept).decode().rstrip("=")
    with opened(browser, guarded) as tab:
        tab.context.add_cookies([{"name": "sb-tests-auth-token", "value": value, "url": guarded.url}])
        tab.reload()
        tab.click("text=Settings")
        expect(tab.get_by_text("Signed in as dora")).to_be_visible()
        expect(tab.get_by_role("button", name="Sign out")).to_have_count(0)
        tab.get_by_label("OpenAI API key", exact=True).fill("a-key-of-my-own-wxyz")
        tab.keyboard.press("Enter")
        expect(tab.get_by_text("Saved.")).to_be_visible()
        tab.keyboard.press("Escape")
        ask(tab, "Hello?")
        assert answer(tab, "done") == ANSWER


def test_without_a_storage_a_token_lasts_as_long_as_the_page(browser: Browser, guarded: Service, alice: str) -> None:
    with opened(browser, guarded) as tab:
        tab.add_init_script("Object.defineProperty(window, 'sessionStorage', { get() { throw new Error('no'); } })")
        tab.reload()
        signed_in(tab, alice, "alice")
        ask(tab, "Hello?")
        assert answer(tab, "done") == ANSWER
