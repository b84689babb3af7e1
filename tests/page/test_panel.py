"""The settings panel as it is for everybody: by keyboard, read out, on a small phone, and without a complaint."""

from playwright.sync_api import Page, expect

from tests.page.panel import KEY, open_panel, save, saved
from tests.page.tab import complaints
from tests.processes import Service


def test_the_panel_is_used_with_the_keyboard_alone(tab: Page) -> None:
    tab.focus("#temperature")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    expect(tab.locator("details[open]")).to_have_count(1)
    expect(tab.get_by_role("heading", name="Settings")).to_be_focused()
    names = []
    for _ in range(4):
        tab.keyboard.press("Tab")
        names.append(
            tab.evaluate("document.activeElement.labels?.[0]?.textContent ?? document.activeElement.innerText")
        )
    assert [name.split("\n")[0] for name in names] == ["Close", "OpenAI", "OpenAI API key", "Save"]
    tab.keyboard.press("Shift+Tab")
    tab.keyboard.type(KEY)
    tab.keyboard.press("Enter")
    expect(tab.get_by_text("Saved.")).to_be_visible()
    for _ in range(2):
        tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    expect(tab.get_by_text("The key works.")).to_be_visible()
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    expect(tab.get_by_text("Removed.")).to_be_visible()
    tab.keyboard.press("Escape")
    expect(tab.get_by_role("dialog")).to_have_count(0)
    expect(tab.get_by_role("button", name="Settings")).to_be_focused()


def test_every_control_of_the_panel_has_a_name_of_its_own(tab: Page) -> None:
    panel = open_panel(tab)
    for name in ("Azure OpenAI", "Groq", "Mistral"):
        panel.locator("summary", has_text=name).click()
    names = panel.locator("input:visible, textarea:visible, button:visible").evaluate_all(
        "all => all.map((each) => each.ariaLabel ?? each.labels[0]?.textContent.trim() ?? each.textContent)"
    )
    assert len(set(names)) == len(names) == 1 + 2 * 11  # Close; a field and a button each
    assert all(names)


def test_on_a_small_phone_the_panel_fills_the_screen(tab: Page) -> None:
    tab.set_viewport_size({"width": 320, "height": 560})
    panel = open_panel(tab, "azure")
    saved(panel, "Azure OpenAI API key", KEY)
    save(panel, "Azure OpenAI Endpoint", "http://" + "unbreakable" * 20)
    expect(panel.get_by_role("alert")).to_be_visible()
    content = panel.locator(".content")
    assert content.evaluate("content => content.scrollWidth <= content.clientWidth")
    assert content.evaluate("content => content.scrollHeight > content.clientHeight")
    assert panel.evaluate("dialog => [dialog.offsetWidth, dialog.offsetHeight]") == [320, 560]
    expect(panel.get_by_role("button", name="Close")).to_be_in_viewport(ratio=1)
    assert tab.evaluate("document.documentElement.scrollWidth") == 320


def test_a_key_goes_to_its_own_origin_without_a_complaint(tab: Page, keyless: Service) -> None:
    complained = complaints(tab)
    carriers: list[str] = []
    tab.on("request", lambda request: carriers.append(request.url) if KEY in (request.post_data or "") else None)
    tab.reload()
    panel = open_panel(tab)
    saved(panel, "OpenAI API key", KEY)
    panel.get_by_role("button", name="Check OpenAI API key").click()
    expect(panel.get_by_text("The key works.")).to_be_visible()
    panel.get_by_role("button", name="Remove OpenAI API key").click()
    expect(panel.get_by_text("Removed.")).to_be_visible()
    tab.keyboard.press("Escape")
    assert complained == []
    assert carriers == [f"{keyless.url}/api/profile/settings/openai_api_key"]
