"""The settings panel: a user's own keys go in, are told by their ends, tried and removed, and never come out again."""

import json
import re
from collections.abc import Mapping
from functools import partial

from playwright.sync_api import Page, Route, expect

from app.simulator import ANSWER
from tests.page.chat import answer, ask
from tests.page.panel import HELD, KEY, open_panel, save, saved
from tests.page.people import profile
from tests.processes import Service, Simulator

PROFILE = "**/api/profile"
SETTINGS = "**/api/profile/settings/**"

YOURS, SERVICES = "Yours, ends in wxyz.", "From the service's environment."
UNUSED = "is kept but not used: "
FIRST, ONLY = f"{UNUSED}the service's own comes first.", f"{UNUSED}only the service's own is used."
NEEDS_YOURS = f"Yours {UNUSED}it goes with a key of yours only."
STANDINGS = (
    # The policy; which key and which organization there are; what is said of each.
    ("profile-first", "environment", "unused", SERVICES, NEEDS_YOURS),
    ("profile-first", "profile", "absent", YOURS, "Not set."),
    ("environment-first", "profile", "profile", YOURS, "Yours."),
    ("environment-first", "both", "unused", f"Yours, ends in wxyz, {FIRST}", NEEDS_YOURS),
    ("environment-only", "unused", "unused", f"Yours, ends in wxyz, {ONLY}", f"Yours {ONLY}"),
)
REFUSALS = (
    (429, "rate_limited", "You have asked too often. Please try again in 7 seconds."),
    (403, "forbidden_origin", "This request came from a page of another site. Please use the application's own page."),
    (503, "db_unavailable", "The profiles cannot be read at the moment. Please try again in a few seconds."),
)


def tell(policy: str, states: Mapping[str, str], route: Route) -> None:
    """Answer with the profile as it would be under another policy, with these settings in the environment and in it."""
    found = route.fetch().json()
    for setting in found["settings"]:
        if state := states.get(setting["name"]):
            setting["source"] = {"both": "environment", "unused": None, "absent": None}.get(state, state)
            setting["isInProfile"] = state not in {"environment", "absent"}
            setting["lastFour"] = "wxyz" if setting["isKey"] and setting["isInProfile"] else None
    route.fulfill(json={**found, "keyPolicy": policy})


def refused(status: int, body: Mapping[str, str], route: Route) -> None:
    route.fulfill(status=status, headers={"Retry-After": "7"}, json=body)


def test_a_missing_key_is_put_in_where_its_sentence_leads(tab: Page, keyless: Service) -> None:
    ask(tab, "Hello?")
    expect(tab.get_by_role("alert")).to_have_text("OpenAI API Key not found. Please set it in your profile settings.")
    tab.get_by_role("button", name="Open settings").press("Enter")
    expect(tab.get_by_label("OpenAI API key", exact=True)).to_be_focused()
    tab.keyboard.type(KEY)
    tab.keyboard.press("Enter")
    expect(tab.get_by_text("Saved.")).to_be_visible()
    tab.keyboard.press("Escape")
    expect(tab.locator("#message")).to_be_focused()
    expect(tab.locator("#error")).to_be_hidden()
    tab.keyboard.press("Enter")
    assert answer(tab, "done") == ANSWER


def test_a_saved_key_is_told_by_its_end_and_is_not_on_the_page(tab: Page) -> None:
    panel = open_panel(tab)
    expect(panel.get_by_label("OpenAI API key", exact=True)).to_have_attribute("type", "password")
    expect(panel.get_by_label("OpenAI API key", exact=True)).to_have_attribute("autocomplete", "off")
    form = saved(panel, "OpenAI API key", KEY)
    expect(form.locator(".source")).to_have_text("Yours, ends in wxyz.")
    expect(panel.locator("summary").first).to_have_text(re.compile("OpenAI.*Your key, ends in wxyz"))
    for _ in range(2):
        held = tab.evaluate(HELD)
        assert KEY[:-4] not in held
        assert KEY[3:-4] not in held
        tab.reload()
        open_panel(tab)
    assert "Yours, ends in wxyz." in tab.evaluate(HELD)


def test_a_key_that_was_not_saved_is_gone_with_the_panel(tab: Page, keyless: Service) -> None:
    open_panel(tab).get_by_label("OpenAI API key", exact=True).fill(KEY)
    assert KEY in tab.evaluate(HELD)
    tab.get_by_role("button", name="Close").click()
    expect(tab.locator("#providers input")).to_have_count(0)  # browsers tell of a dialog's end only later
    assert KEY not in tab.evaluate(HELD)
    assert not any(setting["isInProfile"] for setting in profile(keyless)["settings"])


def test_a_key_that_is_removed_is_not_set_any_more(tab: Page, keyless: Service) -> None:
    panel = open_panel(tab, "mistral")
    form = saved(panel, "Mistral API key", KEY)
    panel.get_by_role("button", name="Remove Mistral API key").click()
    expect(form.get_by_role("status")).to_have_text("Removed.")
    expect(form.locator(".source")).to_have_text("Not set.")
    expect(form.get_by_role("button", name=re.compile("Remove|Check"))).to_have_count(0)
    expect(panel.get_by_label("Mistral API key", exact=True)).to_be_focused()
    assert not any(setting["isInProfile"] for setting in profile(keyless)["settings"])


def test_a_check_says_whether_the_provider_takes_the_key(tab: Page) -> None:
    panel = open_panel(tab, "groq")
    check = panel.get_by_role("button", name="Check Groq API key")
    form = saved(panel, "Groq API key", "wrong-key")
    check.click()
    expect(form.get_by_role("alert")).to_have_text("Groq API Key is incorrect. Please fix it in your profile settings.")
    panel.get_by_label("Groq API key", exact=True).fill(KEY)
    expect(form.get_by_role("alert")).to_have_count(0)
    check.click()
    expect(form.get_by_role("alert")).to_have_text(re.compile("save the new key first"))
    saved(panel, "Groq API key", KEY)
    check.click()
    expect(form.get_by_role("status")).to_have_text("The key works.")


def test_a_refused_value_stays_in_its_field_beside_the_sentence(tab: Page) -> None:
    panel = open_panel(tab, "azure")
    form = save(panel, "Azure OpenAI Endpoint", "http://169.254.169.254/")
    field = panel.get_by_label("Azure OpenAI Endpoint", exact=True)
    sentence = "The endpoint must begin with https://. Please fix it in your profile settings."
    expect(form.get_by_role("alert")).to_have_text(sentence)
    expect(field).to_have_value("http://169.254.169.254/")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description(f"Not set. {sentence}")
    expect(field).to_be_focused()
    form = save(panel, "Azure OpenAI API key", "a key with spaces")
    expect(form.get_by_role("alert")).to_have_text(re.compile("^API key must be 1 to 500 visible ASCII characters"))
    form = save(panel, "Azure OpenAI API version", " ")
    expect(form.get_by_role("alert")).to_have_text("There is nothing here to save yet.")


def test_azure_is_asked_with_all_that_was_set_for_it(tab: Page, simulator: Simulator) -> None:
    panel = open_panel(tab, "azure")
    deployments = json.dumps({"gpt-4o": "my-deployment"})
    saved(panel, "Azure OpenAI Endpoint", f"{simulator.url}/azure")
    saved(panel, "Azure OpenAI API key", KEY)
    form = saved(panel, "Azure OpenAI Deployments of other models (JSON)", deployments)
    expect(form.locator(".source")).to_have_text("Yours.")
    panel.get_by_role("button", name="Check Azure OpenAI API key").click()
    expect(panel.get_by_text("The key works.")).to_be_visible()
    tab.keyboard.press("Escape")
    ask(tab, "Hello?")
    assert answer(tab, "done") == ANSWER
    panel = open_panel(tab, "azure")
    expect(panel.get_by_label("Azure OpenAI Endpoint", exact=True)).to_have_value(f"{simulator.url}/azure")
    deployed = panel.get_by_label("Azure OpenAI Deployments of other models (JSON)", exact=True)
    expect(deployed).to_have_value(deployments)
    expect(panel.get_by_label("Azure OpenAI API key", exact=True)).to_have_value("")


def test_that_a_key_is_gone_with_its_endpoint_is_said(tab: Page) -> None:
    panel = open_panel(tab, "azure")
    expect(panel.locator("details[open] input").first).to_have_accessible_name("Azure OpenAI Endpoint")
    form = saved(panel, "Azure OpenAI API key", KEY)
    said = save(panel, "Azure OpenAI Endpoint", "https://mine.openai.azure.com").get_by_role("status")
    expect(said).to_have_text(re.compile("^Saved. The API key is removed, too: .* Please enter it again.$"))
    expect(form.locator(".source")).to_have_text("Not set.")


def test_settings_of_the_service_are_shown_as_coming_first(page: Page, service: Service) -> None:
    panel = open_panel(page, "azure")
    expect(panel.get_by_text("Signed in as local")).to_be_visible()
    expect(panel.locator("#policy")).to_have_text(re.compile("service itself has set comes first"))
    expect(panel.locator(".state").first).to_have_text("The service's key")
    assert set(panel.locator("details[open] .source").all_text_contents()) == {
        "From the service's environment.",
        "Not set.",
    }
    expect(panel.get_by_role("button", name=re.compile("Remove|Check"))).to_have_count(0)
    assert "canary" not in page.evaluate(HELD)
    form = saved(panel, "Azure OpenAI API key", KEY)
    expect(form.locator(".source")).to_have_text(
        "Yours, ends in wxyz, is kept but not used: the service's own comes first."
    )
    panel.get_by_role("button", name="Remove Azure OpenAI API key").click()
    expect(form.locator(".source")).to_have_text("From the service's environment.")


def test_what_counts_beside_which_key_is_said_of_each_setting(tab: Page) -> None:
    for policy, key, organization, *sentences in STANDINGS:
        states = {"openai_api_key": key, "openai_organization_id": organization}
        tab.route(PROFILE, partial(tell, policy, states), times=1)
        panel = open_panel(tab)
        assert panel.locator("details[open] .source").all_text_contents() == sentences
        tab.keyboard.press("Escape")
        expect(panel).to_have_count(0)


def test_a_refusal_of_the_service_is_shown_and_tried_again(tab: Page) -> None:
    for status, code, sentence in REFUSALS:
        refuse = partial(refused, status, {"message": sentence, "code": code})
        tab.route(PROFILE, refuse, times=1)
        tab.route(SETTINGS, refuse, times=1)
        tab.click("text=Settings")
        panel = tab.get_by_role("dialog")
        expect(panel.get_by_role("alert")).to_have_text(sentence)
        panel.get_by_role("button", name="Try again").click()
        form = save(panel, "OpenAI API key", KEY)
        expect(form.get_by_role("alert")).to_have_text(sentence)
        expect(panel.get_by_label("OpenAI API key", exact=True)).to_have_value(KEY)
        saved(panel, "OpenAI API key", KEY)
        tab.keyboard.press("Escape")
        expect(panel).to_have_count(0)


def test_a_service_out_of_reach_is_said_in_the_panel(tab: Page) -> None:
    tab.route(PROFILE, lambda route: route.abort("connectionrefused"))
    tab.click("text=Settings")
    expect(tab.get_by_role("dialog").get_by_role("alert")).to_have_text(re.compile("could not be reached"))


def test_markup_in_what_the_service_tells_is_shown_as_text(tab: Page) -> None:
    markup = "<img src=x onerror=alert(1)>"
    setting = {"name": markup, "provider": "openai", "label": markup, "isKey": False, "source": "profile"}
    settings = [setting | {"isInProfile": True, "lastFour": None, "value": markup}]
    settings.append(settings[0] | {"name": "openai_api_key", "isKey": True, "lastFour": markup, "value": None})
    told = {"user": markup, "keyPolicy": markup, "settings": settings}
    tab.route(PROFILE, lambda route: route.fulfill(json=told))
    tab.reload()
    panel = open_panel(tab)
    expect(panel.locator("#user")).to_have_text(markup)
    expect(panel.locator("summary .name")).to_have_text(markup)
    expect(panel.get_by_label(markup).first).to_have_value(markup)
    expect(panel.locator("img")).to_have_count(0)
