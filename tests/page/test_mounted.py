"""The page below a prefix: all its addresses are relative to its own."""

from collections.abc import Iterator, Mapping

import pytest
from playwright.sync_api import Browser, Page, expect

from app.simulator import ANSWER
from tests import client
from tests.page.chat import answer, ask
from tests.page.tab import opened
from tests.processes import Processes, Service

COMMAND = "gunicorn --config /dev/null --no-control-socket --worker-class gthread --threads 20 tests.page.mounted:app"
PREFIX = "/in/sluice"


@pytest.fixture(scope="module")
def mounted(processes: Processes, addresses: Mapping[str, str]) -> Service:
    return processes.service({**addresses, "MISTRAL_API_KEY": "mistral-canary-3"}, COMMAND)


@pytest.fixture(params=[PREFIX, f"{PREFIX}/"])
def tab(request: pytest.FixtureRequest, browser: Browser, mounted: Service) -> Iterator[Page]:
    with opened(browser, mounted, request.param) as tab:
        yield tab


def test_below_a_prefix_the_page_chats_and_keeps_settings(tab: Page, mounted: Service) -> None:
    addresses: list[str] = []
    tab.on("request", lambda request: addresses.append(request.url))
    tab.reload()
    tab.select_option("#provider", "mistral")
    ask(tab, "Hello?", "mistral-small-latest")
    assert answer(tab, "done") == ANSWER
    tab.click("text=Settings")
    tab.get_by_label("Mistral API key", exact=True).fill("a-key-of-my-own-wxyz")
    tab.keyboard.press("Enter")
    expect(tab.get_by_text("Yours, ends in wxyz, is kept but not used")).to_be_visible()
    assert tab.url == f"{mounted.url}{PREFIX}/"
    assert all(address.startswith((f"{mounted.url}{PREFIX}/", "data:")) for address in addresses)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_bare_prefix_leads_to_the_page_behind_any_proxy(mounted: Service, method: str) -> None:
    reply = client.ask(mounted, PREFIX, None, method=method)
    assert (reply.status, reply.headers["Location"], reply.body) == (308, "sluice/", b"")


def test_the_host_keeps_its_own_pages(mounted: Service) -> None:
    assert client.ask(mounted, "/in", None, method="GET").body == b"The host's own /in."
    assert client.ask(mounted, f"{PREFIX}/nothing", None, method="GET").json()["code"] == "not_found"
