"""What the benchmark says that clients are told: of the provider alone, of a tutorial's loop, and of Sluice."""

from pathlib import Path

import pytest

from bench.cpu import Tree
from bench.honesty import tell
from bench.rivals import naive, nginx, sluice
from bench.servers import Kind, Place, Running, free_port, running


def test_the_provider_breaks_off_as_it_is_asked_to(provider: int) -> None:
    alone = Running(nginx.KIND, provider, Tree(0))  # nginx passes on what it gets
    assert tell(alone, "whole") == "reports success"
    assert tell(alone, "unfinished") == "just ends"
    assert tell(alone, "reset") == "cuts the connection"


@pytest.mark.parametrize(
    ("kind", "unfinished", "reset"),
    [
        (naive.KIND, "reports success", "cuts the connection"),
        (sluice.KIND, "reports an error and cuts the connection", "reports an error and cuts the connection"),
        (sluice.UI, "reports an error", "reports an error"),
    ],
    ids=lambda value: value.name if isinstance(value, Kind) else "",
)
def test_each_server_is_heard_when_its_provider_breaks_off(
    kind: Kind, unfinished: str, reset: str, provider: int, tmp_path: Path
) -> None:
    with running(kind, Place(tmp_path, free_port(), provider)) as server:
        assert tell(server, "whole") == "reports success"
        assert tell(server, "unfinished") == unfinished
        assert tell(server, "reset") == reset
