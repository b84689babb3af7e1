"""How asking a provider failed."""

from collections.abc import Callable

import pytest

from app.failure import Failure


def broken(work: Callable[[], object]) -> str:
    """Do what fails without a status of the provider's; return the code."""
    with pytest.raises(Failure) as failure:
        work()
    assert failure.value.status == 500
    return failure.value.code
