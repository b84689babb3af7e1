"""Which targets the benchmark calls met, and how it tells of its Python."""

import pytest

from bench.machine import build
from bench.table import Results, verdicts


@pytest.mark.parametrize(
    ("name", "ratio", "verdict"),
    [
        ("paced_us", 3.4, "met: a paced event costs 3.40 times what nginx's does"),
        ("paced_us", 3.6, "**not met**: a paced event costs 3.60 times what nginx's does"),
        ("step_us", 2.9, "met: an event in step costs 2.90 times what nginx's does"),
        ("step_us", 3.1, "**not met**: an event in step costs 3.10 times what nginx's does"),
    ],
)
def test_an_event_is_judged_by_its_ratio_to_nginx(name: str, ratio: float, verdict: str) -> None:
    assert verdicts(Results(runs={"sluice": [{name: 10 * ratio}], "nginx": [{name: 10}]})) == [verdict]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("'--enable-optimizations' '--with-lto'", "optimised: with PGO, with LTO by sysconfig; from /opt/python"),
        ("'--enable-shared'", "not optimised: without PGO, without LTO by sysconfig; from /opt/python"),
    ],
)
def test_a_python_is_told_by_how_it_was_configured(options: str, told: str) -> None:
    assert build("/opt/python", options) == told
