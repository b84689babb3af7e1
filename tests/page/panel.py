"""The settings panel on the page."""

from playwright.sync_api import Locator, Page, expect

KEY = "sk-mine-4f8a1c-7e2b9d-wxyz"

# Everything that the page holds and a script could read: its markup, what stands in its fields, both storages.
HELD = """() => [
  document.documentElement.outerHTML,
  ...[...document.querySelectorAll("input, textarea")].map((field) => field.value),
  JSON.stringify(localStorage), JSON.stringify(sessionStorage), document.cookie,
].join("\\n")"""


def open_panel(page: Page, provider: str = "openai") -> Locator:
    page.select_option("#provider", provider)
    page.click("text=Settings")
    expect(page.get_by_role("dialog", name="Settings").locator("details[open]")).to_be_visible()
    return page.get_by_role("dialog")


def save(panel: Locator, title: str, value: str) -> Locator:
    """Put in a value and save it; return the setting's form."""
    field = panel.get_by_label(title, exact=True)
    field.fill(value)
    panel.get_by_role("button", name=f"Save {title}", exact=True).click()
    return panel.locator("form").filter(has=panel.page.get_by_label(title, exact=True))


def saved(panel: Locator, title: str, value: str) -> Locator:
    form = save(panel, title, value)
    expect(form.get_by_role("status")).to_have_text("Saved.")
    return form
