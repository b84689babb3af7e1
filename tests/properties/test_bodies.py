"""Strict JSON: whatever a text holds that looks like JSON itself, it is read as it was written."""

import json

import pytest
from flask import Request
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import create_environ

from app.failure import Failure
from app.routes.body import read_json

from .values import json_values, objects

LIMIT = 100_000
texts = st.text('"\\:,[]{}\n 0ué😀', max_size=6)
values = json_values(texts, numbers=False)


def read(data: str) -> object:
    return read_json(Request(create_environ(method="POST", data=data.encode())), LIMIT, 1)


@given(objects(texts, values), st.sampled_from([{}, {"indent": 2}, {"ensure_ascii": False}]))
def test_what_is_written_is_read(value: dict[str, object], style: dict[str, int]) -> None:
    assert read(json.dumps(value, **style)) == value  # type: ignore[arg-type]


@given(texts, values, values, texts)
def test_a_name_twice_in_an_object_is_refused(name: str, first: object, second: object, around: str) -> None:
    name, one, two, around = map(json.dumps, (name, first, second, around))
    read(f"{{{around}:[{{{name}:{one}}},{{{name}:{two}}},{around}]}}")
    with pytest.raises(Failure, match="a key appears twice in one object"):
        read(f"{{{around}:[{{{name}:{one},{name}:{two}}},{around}]}}")
