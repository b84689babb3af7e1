"""The benchmark's provider, for all tests of this folder."""

from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from bench import servers, start


@pytest.fixture(scope="session", autouse=True)
def anywhere() -> Iterator[None]:
    """Let processes run on every core: no test measures how long anything takes."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (servers, start):
            patch.setattr(module, "on_core", lambda _core: nullcontext())
        yield


@pytest.fixture(scope="session")
def provider(anywhere: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Run it; yield its port."""
    with servers.upstream(tmp_path_factory.mktemp("provider")) as port:
        yield port
