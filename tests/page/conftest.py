"""Chromium, and the services whose page it shows."""

import shutil
from collections.abc import Iterator, Mapping

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests import client
from tests.page.people import profile
from tests.page.tab import opened
from tests.processes import Processes, Service, Simulator


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One Chromium for this folder: Playwright keeps an event loop in the thread for as long as it runs."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.fail("The tests of the page need Chromium on the PATH: `apt-get install chromium`, or Google Chrome.")
    quiet = ("quic", "background-networking", "component-update", "sync", "smooth-scrolling")
    switches = ["--no-sandbox", "--disable-gpu", "--no-first-run", *(f"--disable-{name}" for name in quiet)]
    expect.set_options(timeout=20_000)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=switches)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, service: Service) -> Iterator[Page]:
    with opened(browser, service) as page:
        yield page


@pytest.fixture(scope="session")
def addresses(simulator: Simulator) -> Mapping[str, str]:
    """An environment in which the providers are the simulator, which users may name as an endpoint, without a key."""
    simulated = {name: value for settings in simulator.settings.values() for name, value in settings.items()}
    bases = {name: value for name, value in simulated.items() if name.endswith("_BASE_URL")}
    return {**bases, "ENDPOINT_ALLOWLIST": simulator.url, "RATE_LIMIT": "1000/minute"}


@pytest.fixture
def keyless(processes: Processes, addresses: Mapping[str, str]) -> Service:
    """The service without a key of its own, and with nothing in the profile."""
    service = processes.service(addresses)
    for setting in profile(service)["settings"]:
        if setting["isInProfile"]:
            client.ask(service, f"/api/profile/settings/{setting['name']}", None, method="DELETE")
    return service


@pytest.fixture(scope="session")
def operators(processes: Processes, addresses: Mapping[str, str]) -> Service:
    """The service with a key for Groq alone, where only the operator's keys are used."""
    return processes.service({**addresses, "GROQ_API_KEY": "gsk_groq-canary-2", "KEY_POLICY": "environment-only"})


@pytest.fixture
def tab(browser: Browser, keyless: Service) -> Iterator[Page]:
    with opened(browser, keyless) as tab:
        yield tab
