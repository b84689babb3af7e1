"""The chat view: what it lets go of when a chat ends between two of its steps."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app import create_app, read_settings
from app.failure import Gone
from app.routes.memory import MemoryBudget
from tests.far import Far
from tests.far.paces import stalling


@pytest.fixture
def far() -> Iterator[Far]:
    with Far() as running:
        yield running


@pytest.mark.parametrize(
    ("end", "status"), [(Gone(), 499), (RuntimeError("a mistake"), 500)], ids=["left", "a mistake"]
)
def test_the_provider_is_left_by_a_chat_that_ends_unanswered(
    far: Far, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: BaseException, status: int
) -> None:
    """Here between two steps of the view: the provider was asked, and the memory of the body is given back."""
    settings = read_settings(
        {"DATABASE_URL": f"sqlite:///{tmp_path}/db", "GROQ_API_KEY": "key-of-the-test", "GROQ_BASE_URL": far.url}
    )
    share = MemoryBudget.share

    @contextmanager
    def ending(budget: MemoryBudget, user: str, announced: int) -> Iterator[Callable[[int], None]]:
        with share(budget, user, announced) as grow:
            yield grow
        raise end

    monkeypatch.setattr(MemoryBudget, "share", ending)
    far.script("m", stalling)
    question = {"chatSettings": {"model": "m"}, "messages": [{"role": "user", "content": "Hello?"}]}
    reply = create_app(settings, lambda _: "ada").test_client().post("/api/chat/groq", json=question)
    assert reply.status_code == status
    far.asked("m")[0].wait_closed()
