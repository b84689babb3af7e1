"""A service whose users bring their own keys, from pages of any origin."""

from collections.abc import Mapping

import pytest

from app.providers import PROVIDERS
from tests.login.users import ORIGIN, with_login
from tests.processes import Processes, Service, Simulator


@pytest.fixture(scope="session")
def bare(processes: Processes, environment: Mapping[str, str], simulator: Simulator) -> Service:
    """A service without keys of its own, with a login; it names one origin, and lets any other ask without cookies."""
    keys = {provider.key.variable for provider in PROVIDERS.values()}
    whole = {**with_login(environment, simulator), "CORS_ORIGINS": f"{ORIGIN},*"}
    return processes.service({name: value for name, value in whole.items() if name not in keys})
