"""The benchmark's provider, for all tests of this folder."""

from collections.abc import Iterator

import pytest

from bench.servers import upstream


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Run it; yield its port."""
    with upstream(tmp_path_factory.mktemp("provider")) as port:
        yield port
