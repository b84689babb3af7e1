"""Mistakes of ours: their tracebacks are in the log, with all that a careless message may show."""

from tests.canaries.house import GUEST, OWNER, House, again
from tests.processes import Processes, wait_for

LINE = "gunicorn tests.canaries.crashing:app"


def test_a_crash_shows_no_secret(small: House, processes: Processes) -> None:
    with again(small, processes, LINE) as crashing:
        for user in (OWNER, GUEST):
            for mode in ("text", "sse"):
                seen = crashing.chat("crashing", "any", mode, user)
                assert (seen.status, seen.json()["code"]) == (500, "internal")
        wait_for(lambda: crashing.service.log.read_text().count("RuntimeError: Chat(model='any'") == 4)
        assert crashing.leaks() == []
