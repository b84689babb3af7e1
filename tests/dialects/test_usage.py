"""A provider's token counts: numbers come through, whatever else is written there does not."""

import json
from typing import Any

import pytest

from app.answer import Finish
from app.dialects.completions.chunks import ChunkReader
from app.upstream.account import Account

KEY = "sk-secret-0123456789"


def told(usage: object, **more: object) -> dict[str, Any] | None:
    """Return what is told of a usage."""
    reader = ChunkReader(Account("Groq", "", KEY))
    event = {"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}], "usage": usage, **more}
    reader.read([json.dumps(event).encode()])
    (finish,) = reader.finish()
    assert isinstance(finish, Finish)
    return finish.usage


COUNTS = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
REAL = {
    # As the providers write it.
    "OpenAI": {
        **COUNTS,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 4, "accepted_prediction_tokens": 0},
    },
    "Groq": {"queue_time": 0.05, "prompt_time": 0.0001, **COUNTS, "total_time": 0.02},
    "DeepSeek": {**COUNTS, "prompt_cache_hit_tokens": 0, "prompt_cache_miss_tokens": 3},
    "OpenRouter": {**COUNTS, "cost": 0.0015, "cost_details": {"upstream_inference_cost": 0.001}},
}


@pytest.mark.parametrize("usage", REAL.values(), ids=REAL)
def test_every_count_comes_through_with_its_details(usage: dict[str, Any]) -> None:
    assert told(usage) == usage
    assert told(None, x_groq={"usage": usage}) == usage


OTHER: dict[str, object] = {
    "a text": "8",
    "a key": KEY,
    "a boolean": True,
    "nothing": None,
    "a list": [8],
    "an empty object": {},
    "details of texts": {"model": KEY, "cached": False},
    "details of details": {"details": {"cached_tokens": 1}},
    "NaN": float("nan"),
    "more than there can be": 10**16,
    "infinity": float("inf"),
    "less than none": -1,
    "a hundred depths": json.loads('{"a":' * 100 + "1" + "}" * 100),
}


@pytest.mark.parametrize("other", OTHER.values(), ids=OTHER)
def test_what_is_no_number_does_not_come_through(other: object) -> None:
    assert told({**COUNTS, "other": other}) == COUNTS
    assert told({"other": other}) is None
    assert told({**COUNTS, "details": {"cached_tokens": 1, "other": other}}) == {
        **COUNTS,
        "details": {"cached_tokens": 1},
    }


@pytest.mark.parametrize("name", [KEY, "Total", "total tokens", "total\n", "", "a" * 51, "\ud83d", "größe"])
def test_what_is_no_name_of_a_count_does_not_come_through(name: str) -> None:
    """A name can say something, too."""
    assert told({**COUNTS, name: 1}) == COUNTS
    assert told({**COUNTS, "details": {name: 1}}) == COUNTS
