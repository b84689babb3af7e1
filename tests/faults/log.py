"""The one line of the log that every chat leaves."""

from typing import Any

from app.failure import Code
from tests.faults.sluice import SOON, Sluice
from tests.machine import slack

OUTCOMES = set(Code) | {"ok", "client_gone", "client_stalled"}


def logged(
    sluice: Sluice,
    request_id: str,
    outcome: str,
    status: int,
    *,
    upstream: int | None = None,
    attempts: int = 0,
    seconds: tuple[float, float] = (0, SOON),
) -> dict[str, Any]:
    """Return a chat's record, which says this, and that it took so long; at most, on a quiet machine."""
    record = sluice.record(request_id)
    told = {name: record[name] for name in ("outcome", "status", "upstreamStatus", "attempts")}
    assert told == {"outcome": outcome, "status": status, "upstreamStatus": upstream, "attempts": attempts}, record
    assert outcome in OUTCOMES
    assert record["keySource"] in (None, sluice.source)
    low, high = seconds
    assert low - 0.05 <= record["durationMs"] / 1000 <= low + (high - low) * slack(), record
    assert record["ttftMs"] is None or record["ttftMs"] <= record["durationMs"]
    return record
