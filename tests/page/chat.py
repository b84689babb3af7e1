"""A conversation on the page."""

import json
from typing import Any

from playwright.sync_api import Page, Request, expect

CHAT = "**/api/chat/*"


def ask(page: Page, text: str, model: str = "gpt-4o") -> None:
    page.fill("#model", model)
    page.fill("#message", text)
    page.press("#message", "Enter")


def answer(page: Page, state: str) -> str:
    """The text of the last answer, as soon as it is in that state."""
    last = page.locator(".answer").last
    expect(last).to_have_attribute("data-state", state, timeout=20_000)
    return last.text_content() or ""


def sent(page: Page, text: str, model: str = "gpt-4o") -> dict[str, Any]:
    """Ask, and return the body that the page sent."""
    with page.expect_request(CHAT) as request:
        ask(page, text, model)
    return body(request.value)


def body(request: Request) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(request.post_data or "")
    return read
