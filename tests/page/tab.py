"""A browser's tab with the page in it."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, ConsoleMessage, Page, Route

from tests.processes import Service

# Keeps what the last answer looked like at each change of the log.
RECORDER = """
window.seen = [];
document.addEventListener("DOMContentLoaded", () => {
  const look = () => seen.push(document.querySelector("article:last-of-type .answer")?.textContent ?? "");
  new MutationObserver(look).observe(document.querySelector("#log"), { childList: true, subtree: true });
});
"""


def complaints(page: Page) -> list[str]:
    """Return a list of what the browser complains of from now on."""
    found: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            found.append(message.text)

    page.on("console", listen)
    return found


@contextmanager
def opened(browser: Browser, service: Service, path: str = "") -> Iterator[Page]:
    """Open the page in a browser that knows nothing yet, and see that its scripts never fail."""
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.add_init_script(RECORDER)
    page.route("about:nothing", Route.abort)  # or Chromium, told later to intercept, may miss what is sent at once
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    try:
        page.goto(service.url + path)
        yield page
    finally:
        page.unroute_all(behavior="ignoreErrors")
        context.close()
    assert failures == []
