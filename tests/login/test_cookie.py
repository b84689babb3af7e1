"""Supabase's session cookie, as its libraries write it, and whatever else is found under its name."""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from urllib.parse import quote, unquote_to_bytes

import pytest
from flask import Flask, jsonify, request
from hypothesis import given, settings
from hypothesis import strategies as st

from app.login.cookie import MAX_SESSION_CHARACTERS, MAX_SESSIONS, tokens

NAME = "sb-abcdefgh-auth-token"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2ln"
OTHER = TOKEN.replace("c2ln", "b3RoZXI")
FIXED = settings(derandomize=True, database=None, deadline=None, max_examples=200)
SAFE = "-_.!~*'()"
"""What `encodeURIComponent` leaves as it is, beside letters and digits."""

Encode = Callable[[object], str]


def session(token: str = TOKEN, /, **user: object) -> dict[str, object]:
    """Return a session as Supabase keeps it."""
    times = {"token_type": "bearer", "expires_in": 3600, "expires_at": 4_000_000_000}
    return {"access_token": token, **times, "refresh_token": "r3fr3sh", "user": {"id": "alice", **user}}


def dumps(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def raw(value: object) -> str:
    """Encode as @supabase/ssr did before 0.5, and still does if asked to."""
    return quote(dumps(value), safe=SAFE)


def encoded(value: object) -> str:
    """Encode as @supabase/ssr does since 0.5."""
    return "base64-" + urlsafe_b64encode(dumps(value).encode()).decode().rstrip("=")


def in_parts(value: str, size: int = 3180) -> dict[str, str]:
    """Cut an encoded value as `createChunks` does: never within an escape, nor within a character's escapes."""
    parts = []
    while value:
        end = min(size, len(value))
        while not _ends_whole(value[:end]):
            end -= 1
        parts.append(value[:end])
        value = value[end:]
    return {f"{NAME}.{number}": part for number, part in enumerate(parts)}


def _ends_whole(part: str) -> bool:
    if "%" in part[-2:]:
        return False
    try:
        unquote_to_bytes(part).decode()
    except UnicodeDecodeError:
        return False
    return True


BOTH = pytest.mark.parametrize("encode", [raw, encoded])


@BOTH
@pytest.mark.parametrize(
    "user",
    [
        {},
        {"name": 'Ünïcödé 😀 名前 % + " ; , = \\ \n'},
        {"access_token": "not.this.one"},
        {"list": [1, None, {"a": []}]},
    ],
)
def test_a_whole_cookie_holds_a_token(encode: Encode, user: dict[str, object]) -> None:
    assert tokens({"theme": "dark", NAME: encode(session(**user)), "a": "b"}) == [TOKEN]


@BOTH
@pytest.mark.parametrize("name", ["x" * 12_000, "名前😀" * 700, '%"+=' * 1100])
def test_parts_are_put_together(encode: Encode, name: str) -> None:
    parts = in_parts(encode(session(name=name)))
    assert len(parts) > 2
    assert tokens(parts) == [TOKEN]
    assert tokens(dict(reversed(parts.items()))) == [TOKEN]


def test_parts_are_put_together_in_the_order_of_their_numbers() -> None:
    parts = in_parts(encoded(session()), size=20)
    assert len(parts) > 11
    assert tokens(dict(sorted(parts.items()))) == [TOKEN]


def test_a_gap_ends_what_is_put_together() -> None:
    parts = in_parts(encoded(session()), size=100)
    more = {f"{NAME}.{len(parts) + 1}": "left from before", f"{NAME}.007": "x", f"{NAME}.01": "x", f"{NAME}.-1": "x"}
    assert tokens(parts | more) == [TOKEN]
    for missing in parts:
        assert tokens({name: part for name, part in parts.items() if name != missing}) == []
        assert tokens(parts | {missing: ""}) == []


def test_the_whole_one_counts_before_parts() -> None:
    parts = in_parts(encoded(session(OTHER)), size=100)
    assert tokens(parts | {NAME: encoded(session())}) == [TOKEN]
    assert tokens(parts | {NAME: ""}) == [OTHER]


@BOTH
def test_the_older_list_begins_with_the_token(encode: Encode) -> None:
    assert tokens({NAME: encode([TOKEN, "r3fr3sh", None, None, [{"id": "factor"}]])}) == [TOKEN]


def test_what_needs_no_encoding_may_stand_as_it_is() -> None:
    assert tokens({NAME: raw(session(name="NAME")).replace("NAME", "=22,=5C =")}) == [TOKEN]


@pytest.mark.parametrize("pad", ["", "=", "==", "===", "%3D", "%3D%3D"])
def test_padding_does_not_matter(pad: str) -> None:
    for more in ("", "a", "ab", "abc"):
        assert tokens({NAME: encoded(session(more=more)) + pad}) == [TOKEN]


def test_the_common_alphabet_of_base64_is_read_too() -> None:
    text = b64encode(dumps(session(name="??>>ÿÿ")).encode()).decode()
    assert "+" in text or "/" in text
    assert tokens({NAME: f"base64-{text}"}) == [TOKEN]


def test_the_session_of_each_project_is_returned() -> None:
    found = {f"sb-project{number}-auth-token": encoded(session(f"{TOKEN}{number}")) for number in range(3)}
    parts = in_parts(encoded(session()), size=300)
    assert tokens({**found, **parts}) == [f"{TOKEN}0", f"{TOKEN}1", f"{TOKEN}2", TOKEN]
    assert tokens({NAME: encoded(session()), "sb-other-auth-token": raw(session())}) == [TOKEN]


def test_only_a_few_sessions_are_looked_at() -> None:
    found = {f"sb-project{number}-auth-token": encoded(session(f"{TOKEN}{number}")) for number in range(50)}
    assert tokens(found) == [f"{TOKEN}{number}" for number in range(MAX_SESSIONS)]


def test_only_so_much_is_put_together() -> None:
    long = encoded(session(name="x" * MAX_SESSION_CHARACTERS))
    assert tokens({NAME: long}) == []
    assert tokens(in_parts(long)) == []
    assert tokens(in_parts(encoded(session(name="x" * (MAX_SESSION_CHARACTERS // 2))))) == [TOKEN]


@pytest.mark.parametrize(
    "name",
    [
        *(f"{NAME}-code-verifier", f"{NAME}-code-verifier.0", f"{NAME}-flow-abcdefgh-code-verifier", f"{NAME}-user"),
        *("sb-auth-token", "sb--auth-token", "sb-a.b-auth-token", "supabase-auth-token", "auth-token", "sb-abc-auth"),
        *(
            f"x{NAME}",
            f" {NAME}",
            f"{NAME} ",
            NAME.upper(),
            f"{NAME}.",
            f"{NAME}.00",
            f"{NAME}.0.0",
            f"{NAME}.1",
            "sb-é-auth-token",
        ),
    ],
)
def test_other_cookies_are_left_alone(name: str) -> None:
    assert tokens({name: encoded(session())}) == []


NO_SESSIONS: list[object] = [
    *([], {}, [""], [None, TOKEN], [[TOKEN]], [1], [{}], {"access_token": ""}, {"access_token": None}),
    *({"access_token": 1}, {"access_token": [TOKEN]}, {"access_token": {}}, {"accessToken": TOKEN}),
    *({"currentSession": session()}, [session()], dumps(session()), TOKEN, None, True),
]


@pytest.mark.parametrize(
    "value",
    [
        *("", "null", "1", "true", "[]", "{}", "%5B%5D", "%7B%7D", "base64-", "base64-=", "base64-!!!!", "base64-AAAA"),
        *(
            "%",
            "%%",
            "%7",
            "%ZZ",
            "=",
            "a b",
            TOKEN,
            f"%22{TOKEN}%22",
            "\ud800",
            "é",
            "\0",
            "base64-\ud800",
            "BASE64-e30",
        ),
        *map(raw, NO_SESSIONS),
        *map(encoded, NO_SESSIONS),
        *("[" * 60_000, "%5B" * 20_000, '{"a":' * 10_000, "base64-" + urlsafe_b64encode(b"[" * 40_000).decode()),
        *(raw(session())[:-1], raw(session()) + "x", encoded(session())[:-8], quote(raw(session()))),
        *("%FF%FE", "%EF%BB%BF" + raw(session()), quote(dumps(session()).encode("utf-16"))),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_what_holds_no_session_holds_no_token(value: str) -> None:
    assert tokens({NAME: value}) == []
    assert tokens({f"{NAME}.0": value}) == []


def test_cookies_are_read_as_flask_gives_them() -> None:
    """Of two cookies with one name the first counts, as in Supabase's own code; no bytes stop the others."""
    app = Flask(__name__)
    app.add_url_rule("/", view_func=lambda: jsonify(tokens(request.cookies)))
    client = app.test_client(use_cookies=False)

    def read(header: str) -> object:
        return client.get("/", environ_overrides={"HTTP_COOKIE": header}).get_json()

    for encode in (raw, encoded):
        assert read(f"a=1; {NAME}={encode(session(name='名前 +%'))}; b=2") == [TOKEN]
        assert read(f"{NAME}={encode(session())}; {NAME}={encode(session(OTHER))}") == [TOKEN]
        assert read(f"a=\xff\xfe\x80; {NAME}={encode(session())}; b={chr(0)}") == [TOKEN]
        assert read("; ".join(f"{name}={part}" for name, part in in_parts(encode(session()), 99).items())) == [TOKEN]
        assert read(f'{NAME}="{encode(session())}"') == [TOKEN]


NAMES = st.sampled_from([NAME, f"{NAME}.0", f"{NAME}.1", f"{NAME}.2", "sb-x-auth-token", "a"]) | st.text()
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just(TOKEN),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.just("access_token") | st.text(), inner, max_size=2),
    max_leaves=5,
)
VALUES = (
    st.text()
    | st.binary().map(lambda data: data.decode("latin-1"))
    | st.binary().map(lambda data: "base64-" + urlsafe_b64encode(data).decode())
    | st.text().map(lambda text: f"base64-{text}")
    | ODD.map(lambda value: quote(json.dumps(value)))
    | ODD.map(lambda value: "base64-" + urlsafe_b64encode(json.dumps(value).encode()).decode())
)


@FIXED
@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_whatever_cookies_there_are_tokens_are_texts(cookies: dict[str, str]) -> None:
    found = tokens(cookies)
    assert len(found) <= MAX_SESSIONS
    assert all(found)


@FIXED
@given(st.text(), st.integers(9, 80), st.sampled_from([raw, encoded]))
def test_whatever_a_session_says_its_token_is_found(name: str, size: int, encode: Encode) -> None:
    try:
        value = encode(session(name=name))
    except UnicodeEncodeError:  # half a character, which no library writes
        return
    assert tokens({NAME: value}) == [TOKEN]
    assert tokens(in_parts(value, max(size, 12))) == [TOKEN]
