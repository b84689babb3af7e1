"""What the benchmark measures of looking up who asks."""

from bench.lookup import TARGETS, measure


def test_every_look_up_that_has_a_target_is_measured() -> None:
    found = measure(rounds=2, requests=2)
    assert {name.rpartition(", ")[2] for name in found} == {*TARGETS}
    assert all(len(times) == 2 and min(times) > 0 for times in found.values())
