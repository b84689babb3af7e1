"""Every row of the catalogue is a test, or has a reason why not."""

import re
from pathlib import Path

NOT_HERE = {
    "U52": "There is no pool of connections to exhaust: a chat opens its own, and MAX_STREAMS bounds them (K22).",
    "U53": "Users' endpoints are blocked before anything is connected: tests/upstream/test_guard.py has every vector.",
}
"""Rows without a test. Of U45 only half applies: Anthropic's own status, 529, comes with its dialect."""


def test_every_row_of_the_provider_s_faults_is_here() -> None:
    files = Path(__file__).parent.glob("test_provider_*.py")
    text = "\n".join(path.read_text() for path in files)
    names = re.findall(r'id=f?"(U[^"]*)"|def test_(u\d+)_', text)
    found = {row.upper() for pair in names for name in pair for row in re.findall(r"[Uu]\d+", name)}
    assert not found & NOT_HERE.keys()
    assert found | NOT_HERE.keys() == {f"U{number}" for number in range(1, 56)}
