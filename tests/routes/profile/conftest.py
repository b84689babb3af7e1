"""Somebody whose profile is empty, with a login."""

from collections.abc import Mapping

import pytest

from tests.login.users import User, somebody, with_login
from tests.processes import Processes, Service, Simulator


@pytest.fixture(scope="session")
def login_environment(environment: Mapping[str, str], simulator: Simulator) -> Mapping[str, str]:
    """An environment that has a key of every provider, and a login."""
    return with_login(environment, simulator)


@pytest.fixture(scope="session")
def service(processes: Processes, login_environment: Mapping[str, str]) -> Service:
    """The service in this environment."""
    return processes.service(login_environment)


@pytest.fixture
def user(service: Service) -> User:
    """Somebody new."""
    return somebody(service)
