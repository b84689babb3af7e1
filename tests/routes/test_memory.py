"""The memory that bodies take together, and whose they are."""

import pytest

from app.failure import Failure
from app.routes.memory import MemoryBudget


def test_bodies_have_a_limit_and_give_back_their_share() -> None:
    budget = MemoryBudget(10)
    with budget.share("ada") as first, budget.share("bob") as second:
        first(6)
        second(3)
        with pytest.raises(Failure) as refused:
            second(2)
        assert (refused.value.status, refused.value.code) == (503, "shed")
        assert refused.value.headers == {"Retry-After": "1"}
        first(1)
        with pytest.raises(Failure), budget.share("eve", 1):
            pass
    with budget.share("bob") as last:
        last(10)
        last(10)  # there is nobody else


def test_several_bodies_of_one_user_leave_room_for_others() -> None:
    budget = MemoryBudget(100)
    with budget.share("ada") as first, budget.share("ada") as second, budget.share("bob") as other:
        first(24)
        second(1)
        for grow in (first, second):
            with pytest.raises(Failure):
                grow(1)
        other(75)
    with budget.share("ada") as only:
        only(100)
