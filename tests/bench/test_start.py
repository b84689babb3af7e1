"""What the benchmark measures of a start."""

import pytest

from bench import start
from tests.processes import ROOT


def test_a_start_is_timed_with_a_new_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "TIMES", 1)
    numbers = start.start(ROOT)
    assert 0 < numbers["create_cpu_s"] < numbers["import_cpu_s"]
