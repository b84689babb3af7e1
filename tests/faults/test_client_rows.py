"""Every row of the catalogue's clients and processes is a test here, or says why it is none."""

import re
from pathlib import Path

ROWS = {f"k{number}" for number in range(1, 26)} | {f"p{number}" for number in (1, 2, 3, 4, 5, 18, 19)}

WITHOUT_A_TEST = {"k23": "No Idempotency-Key is offered."}


def test_every_row_is_a_test_or_says_why_not() -> None:
    files = [*Path(__file__).parent.glob("test_client_*.py"), *Path(__file__).parent.glob("test_process_*.py")]
    found = {row for path in files for row in re.findall(r"^def test_([kp]\d+)_", path.read_text(), re.MULTILINE)}
    assert found | set(WITHOUT_A_TEST) == ROWS
    assert not found & set(WITHOUT_A_TEST)
