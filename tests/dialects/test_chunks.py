"""Events -> pieces: every shape in which providers write a chunk, and every one in which they should not."""

import json
from contextlib import suppress
from typing import Any

import pytest

from app.answer import Finish, Piece, Reasoning, Text
from app.dialects.completions import chunks
from app.dialects.completions.chunks import ChunkReader
from app.dialects.completions.state import State
from app.dialects.sse import ErrorEvent, StrayLines
from app.failure import Failure
from app.upstream.account import Account

KEY = "sk-secret-0123456789"
ACCOUNT = Account("Groq", "", KEY)
END = b"[DONE]"
LOST = "\N{REPLACEMENT CHARACTER}"


def chunk(delta: object = None, finish_reason: str | None = None, **more: object) -> dict[str, object]:
    """Write what every chunk of a chat completion holds."""
    choice = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish_reason}
    return {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}


def says(text: str) -> dict[str, object]:
    return chunk({"content": text})


def encoded(event: object) -> bytes:
    return event if isinstance(event, bytes) else json.dumps(event).encode()


def pieces(*reads: object) -> list[Piece]:
    """Read a whole answer, each event in a read of its own; a list is a read of several events."""
    reader = ChunkReader(ACCOUNT)
    found: list[Piece] = []
    for read in reads:
        more, failed = reader.read([encoded(event) for event in (read if isinstance(read, list) else [read])])
        found += more
        if failed is not None:
            raise failed
    return found + reader.finish()


def failure(*reads: object) -> Failure:
    with pytest.raises(Failure) as caught:
        pieces(*reads)
    return caught.value


USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}

PROVIDERS: dict[str, tuple[list[object], list[Piece]]] = {
    "OpenAI": (
        [
            chunk({"role": "assistant", "content": "", "refusal": None}, usage=None, obfuscation="xK1"),
            chunk({"content": "Hel"}, usage=None, service_tier="default", system_fingerprint="fp_1", obfuscation="v"),
            chunk({"content": "lo"}, usage=None, obfuscation="9"),
            chunk({}, "stop", usage=None),
            {**chunk(), "choices": [], "usage": {**USAGE, "prompt_tokens_details": {"cached_tokens": 0}}},
            END,
        ],
        [Text("Hel"), Text("lo"), Finish("stop", {**USAGE, "prompt_tokens_details": {"cached_tokens": 0}})],
    ),
    "Azure": (
        [
            {
                "choices": [],
                "created": 0,
                "id": "",
                "model": "",
                "object": "",
                "prompt_filter_results": [
                    {"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}}
                ],
            },
            chunk({"role": "assistant", "content": ""}),
            chunk({"content": "Hello"}, model="gpt-4o-2024-11-20"),
            {
                "choices": [
                    {
                        "content_filter_offsets": {"check_offset": 44, "start_offset": 44, "end_offset": 198},
                        "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}},
                        "finish_reason": None,
                        "index": 0,
                    }
                ]
            },
            chunk({}, "stop"),
            END,
        ],
        [Text("Hello"), Finish("stop", None)],
    ),
    "Groq": (
        [
            chunk({"role": "assistant", "content": None}, x_groq={"id": "req_1"}),
            chunk({"reasoning": "Hm", "channel": "analysis"}),
            chunk({"content": "Hello"}),
            chunk({}, "stop", x_groq={"id": "req_1", "usage": USAGE}),
            END,
        ],
        [Reasoning("Hm"), Text("Hello"), Finish("stop", USAGE)],
    ),
    "Groq, usage twice": (
        [chunk({"content": "Hi"}), chunk({}, "stop", x_groq={"usage": {"old": 1}}, usage=USAGE), END],
        [Text("Hi"), Finish("stop", USAGE)],
    ),
    "Mistral": (
        [
            chunk({"role": "assistant", "content": ""}),
            chunk({"content": "Hello"}, p="abc"),
            chunk({"content": ""}, "stop", usage=USAGE),
            END,
        ],
        [Text("Hello"), Finish("stop", USAGE)],
    ),
    "Magistral": (
        [
            chunk({"role": "assistant", "content": ""}),
            chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]}),
            chunk({"content": [{"type": "thinking", "thinking": "hm"}]}),
            chunk({"content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]}),
            chunk({"content": [{"type": "reference", "reference_ids": [1]}, {"type": "image_url", "image_url": "h"}]}),
            chunk({"content": " you"}),
            chunk({"content": ""}, "model_length"),
            END,
        ],
        [Reasoning("Hm"), Reasoning("hm"), Text("Hello"), Text(" you"), Finish("length", None)],
    ),
    "vLLM and DeepSeek": (
        [
            chunk({"role": "assistant", "content": ""}),
            chunk({"reasoning_content": "Hm", "content": None}),
            chunk({"reasoning_content": None, "content": "Hi"}, "length", stop_reason=None),
            END,
        ],
        [Reasoning("Hm"), Text("Hi"), Finish("length", None)],
    ),
    "OpenRouter": (
        [
            chunk({"role": "assistant", "content": "", "reasoning": "Hm", "reasoning_details": [{"type": "x"}]}),
            chunk({"role": "assistant", "content": "Hi"}, native_finish_reason=None, provider="P"),
            chunk({"role": "assistant", "content": ""}, "stop"),
            {**chunk({"role": "assistant", "content": ""}), "usage": {**USAGE, "cost": 0.0015}},
            END,
        ],
        [Reasoning("Hm"), Text("Hi"), Finish("stop", {**USAGE, "cost": 0.0015})],
    ),
    "Perplexity Sonar": (
        [
            chunk({"role": "assistant", "content": "Hi"}, citations=["h"], usage={"total_tokens": 1}),
            chunk({"content": " you"}, citations=["h"], usage={"total_tokens": 2}),
            {**chunk({"content": ""}, "stop", usage={"total_tokens": 3}), "object": "chat.completion.done"},
        ],
        [Text("Hi"), Text(" you"), Finish("stop", {"total_tokens": 3})],
    ),
    "Together": (
        [
            {"choices": [{"index": 0, "text": "Hi", "delta": {"role": "assistant", "content": "Hi"}}]},
            {"choices": [{"index": 0, "text": " yo", "delta": {"content": " yo"}, "finish_reason": "stop"}]},
            END,
        ],
        [Text("Hi"), Text(" yo"), Finish("stop", None)],
    ),
    "OpenRouter's details alone": (
        [
            chunk({"content": "", "reasoning_details": [{"type": "reasoning.text", "text": "Hm", "index": 0}]}),
            chunk({"content": "Hi"}, "stop"),
        ],
        [Reasoning("Hm"), Text("Hi"), Finish("stop", None)],
    ),
    "Ollama": (
        [
            chunk({"role": "assistant", "content": "", "reasoning": "Hm"}, system_fingerprint="fp_ollama"),
            chunk({"role": "assistant", "content": "Hi"}, "load"),
            END,
        ],
        [Reasoning("Hm"), Text("Hi"), Finish("load", None)],
    ),
}


@pytest.mark.parametrize(("events", "expected"), PROVIDERS.values(), ids=PROVIDERS)
def test_chunks_of_each_provider_are_understood(events: list[object], expected: list[Piece]) -> None:
    assert pieces(*events) == expected


def test_neighbours_of_one_kind_in_one_read_are_joined() -> None:
    thinks = chunk({"reasoning": "r"})
    read = [says("a"), says("b"), thinks, thinks, chunk({"reasoning": "r", "content": "c"}), says("d")]
    assert pieces(read, END) == [Text("ab"), Reasoning("rrr"), Text("cd"), Finish("unknown", None)]


@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls", "function_call", "content_filter", "eos"])
def test_a_finish_reason_is_kept_as_it_came(reason: str) -> None:
    assert pieces(says("a"), chunk({}, reason), END) == [Text("a"), Finish(reason, None)]


def test_an_end_marker_alone_or_a_reason_alone_is_an_end() -> None:
    assert pieces(says("a"), END) == [Text("a"), Finish("unknown", None)]
    assert pieces(chunk({"content": "a"}, "stop")) == [Text("a"), Finish("stop", None)]


@pytest.mark.parametrize("events", [[says("a")], [chunk()], [{**chunk(), "choices": [], "usage": USAGE}]])
def test_an_answer_with_neither_was_cut(events: list[object]) -> None:
    assert failure(*events).code == "up_truncated"


def test_an_answer_without_an_event_is_none() -> None:
    assert failure().code == failure([]).code == "up_empty"


@pytest.mark.parametrize(
    "events",
    [
        [],
        [{**chunk(), "choices": [], "usage": USAGE}],
        [chunk({"role": "assistant", "content": ""})],
        [chunk({"reasoning": "Hm"})],
        [b"   "],
    ],
    ids=["nothing", "a usage", "a role", "a thought", "a blank"],
)
def test_a_marker_behind_no_answer_is_no_end(events: list[object]) -> None:
    assert failure(*events, END).code == "up_empty"


# A finish reason, and what takes it back.

STOP = chunk({}, "stop")
LATE = {**chunk(), "choices": [], "usage": USAGE}


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([STOP, says("a"), STOP], [Text("a"), Finish("stop", None)]),
        ([STOP, says("a"), END], [Text("a"), Finish("unknown", None)]),
        (
            [chunk({"content": "a"}, "stop"), chunk({"content": "b"}, "stop")],
            [Text("a"), Text("b"), Finish("stop", None)],
        ),
        ([says("a"), STOP, chunk({"role": "assistant", "content": ""}), LATE], [Text("a"), Finish("stop", USAGE)]),
        ([says("a"), chunk({}, "length"), STOP], [Text("a"), Finish("stop", None)]),
        ([says("a"), STOP, b"oops", b"{", b"\xff", END], [Text("a"), Finish("stop", None)]),
        ([says("a"), STOP, b"oops"], [Text("a"), Finish("stop", None)]),
        ([says("a"), STOP, {"type": "ping"}, END], [Text("a"), Finish("stop", None)]),
    ],
    ids=["early", "and a marker", "in every chunk", "with nothing behind", "twice", "garbage", "no marker", "a ping"],
)
def test_a_finish_reason_counts_if_nothing_of_the_answer_follows(events: list[object], expected: list[Piece]) -> None:
    assert pieces(*events) == expected
    assert pieces(events)[-1] == expected[-1]


@pytest.mark.parametrize(
    "more",
    [says("b"), chunk({"reasoning": "b"}), chunk({"content": 7}), b'{"choices":[{"delta":{"content":"\\ud83d"}}]}'],
)
def test_text_behind_a_finish_reason_takes_it_back(more: object) -> None:
    assert failure(chunk({"content": "a"}, "stop"), more).code == "up_truncated"


def test_garbage_before_more_of_the_answer_may_be_a_part_of_it() -> None:
    assert failure(says("a"), STOP, b'{"choices":[{"del', says("b"), STOP, END).code == "up_bad_data"


def test_what_cannot_be_told_behind_a_reason_is_no_garbage() -> None:
    assert failure(says("a"), STOP, chunk({"content": True}), END).code == "up_bad_data"


@pytest.mark.parametrize("marker", [b"[DONE] ", b" [DONE]", b"[DONE]\n", b"\t[DONE]\t"])
def test_blanks_around_the_marker_are_no_part_of_it(marker: bytes) -> None:
    assert pieces([says("a"), marker, says("EVIL")]) == [Text("a"), Finish("unknown", None)]


@pytest.mark.parametrize("blank", [b" ", b"   ", b"\t", b"\n", b" \n "])
def test_blank_data_is_nothing(blank: bytes) -> None:
    assert pieces(says("a"), blank, says("b"), blank, END) == [Text("a"), Text("b"), Finish("unknown", None)]


FAILED = """
error ERROR abort aborted network_error insufficient_system_resource server_error failed failure FAILED exception
overloaded unavailable interrupted rate_limit killed Timed_out out_of_memory deadline_exceeded connection_reset
throttled too_many_requests busy internal evicted shutdown bad_gateway 502
""".split()


@pytest.mark.parametrize("reason", FAILED)
def test_a_reason_that_means_failure_is_no_end(reason: str) -> None:
    typed = {"type": reason, "message": "?"}
    choices: list[dict[str, object]] = [
        {"finish_reason": reason},
        {"finish_reason": typed},
        {"finish_reason": [reason]},
        {"finish_reason": "stop", "native_finish_reason": reason},
        {"finish_reason": None, "native_finish_reason": reason},
    ]
    for event in ({"choices": [{"delta": {}, **choice}]} for choice in choices):
        found = failure(says("a"), event, END)
        assert (found.status, found.code) == (500, "provider_error")


def test_a_reason_that_nobody_knows_is_an_end_and_is_told() -> None:
    for reason in ("eos", "repetition", "insensitive", "Stop"):
        assert pieces(says("a"), chunk({}, reason), END)[-1] == Finish(reason, None)


LENGTHS = [
    *("length", "model_length", "max_tokens", "MAX_TOKENS", "MaxTokens", "max tokens", "token_limit", "truncated"),
    *("incomplete", "model_context_window_exceeded", "max_output_tokens", "max_completion_tokens", "ERROR_LIMIT"),
]
FILTERS = [
    *("content_filter", "content_filter: RECITATION", "content_filter: PROHIBITED_CONTENT", "content-filter", "SAFETY"),
    *(
        "sensitive",
        "SENSITIVE",
        "contentFilter",
        "blocked",
        "flagged",
        "MODEL_ARMOR",
        "policy_violation",
        "ERROR_TOXIC",
    ),
    *("content_policy_violation", "unsafe", "content_filtered", "refusal", "guardrail_intervened", "BLOCKLIST", "SPII"),
]


@pytest.mark.parametrize(
    ("reason", "known"), [*((word, "length") for word in LENGTHS), *((word, "content_filter") for word in FILTERS)]
)
def test_a_reason_of_a_known_kind_is_told_by_one_name(reason: str, known: str) -> None:
    assert pieces(says("a"), chunk({}, reason), END)[-1] == Finish(known, None)
    behind = {"choices": [{"delta": {}, "finish_reason": "stop", "native_finish_reason": reason}]}
    assert pieces(says("a"), behind, END)[-1] == Finish(known, None)


@pytest.mark.parametrize("reason", FILTERS)
def test_an_answer_that_a_filter_stopped_at_once_is_none(reason: str) -> None:
    assert failure(chunk({}, reason), END).code == "content_filter"


@pytest.mark.parametrize("reason", ["", " ", "null", "None", "FINISH_REASON_UNSPECIFIED", "not_finished"])
def test_a_reason_that_is_none_is_no_end(reason: str) -> None:
    assert failure(chunk({"content": "a"}, reason), chunk({}, reason)).code == "up_truncated"
    assert pieces(chunk({"content": "a"}, reason), END)[-1] == Finish("unknown", None)


SILENT: list[dict[str, object]] = [
    {"choices": []},
    {"choices": [], "usage": None},
    {"choices": [], "usage": USAGE},
    *(chunk({"role": "assistant", "content": empty, "refusal": empty}) for empty in (None, "")),
    *(chunk({}, reason) for reason in (None, "", "null", "stop", "length", "SAFETY", "error", "eos")),
    *(chunk({"content": ""}, "stop", usage=usage) for usage in (None, {}, USAGE)),
    {"choices": [{"finish_reason": "stop", "native_finish_reason": "MAX_TOKENS"}]},
    {"choices": [{"delta": None, "finish_reason": "stop", "native_finish_reason": "error"}]},
    {"choices": [{}], "error": None, "object": "chat.completion.chunk"},
]


@pytest.mark.parametrize("event", SILENT, ids=lambda event: json.dumps(event)[:80])
def test_a_chunk_that_says_nothing_counts_however_it_is_read(event: dict[str, object]) -> None:
    """One more member that nobody knows has it read by the tolerant reader."""

    def outcome(event: dict[str, object], *after: object) -> object:
        try:
            return pieces(says("a"), event, *after)
        except Failure as failure:
            return failure.code, failure.message

    for after in ([END], [STOP, END], [says("b"), END], []):
        assert outcome(event, *after) == outcome({**event, "zzz": 0}, *after)


# Events that nobody knows, before a marker.

UNKNOWN: list[Any] = [
    {"oh": "no"}, "it broke", 500, None, [], {"choices": None}, {"choices": "none"}, {"usage": None},
    {"choices": []}, {"choices": [], "oh": "no"},
]  # fmt: skip


@pytest.mark.parametrize("event", UNKNOWN, ids=json.dumps)
def test_a_marker_behind_an_event_that_nobody_knows_is_no_end(event: object) -> None:
    event = json.dumps(event).encode()
    assert failure(says("a"), event, END).code == "up_truncated"
    assert failure(says("a"), event, LATE, END).code == "up_truncated"
    assert pieces(says("a"), event, says("b"), END)[-1] == Finish("unknown", None)
    assert pieces(says("a"), event, STOP, END)[-1] == Finish("stop", None)


LINES = [b"Error: boom", b' error: {"a":1}', b"error", b"<html>502</html>", b"Internal Server Error", b"[", b"{}"]


@pytest.mark.parametrize("lines", LINES)
def test_stray_lines_in_a_stream_make_a_marker_no_end(lines: bytes) -> None:
    assert failure(says("a"), StrayLines(lines), END).code == "up_truncated"
    assert pieces(says("a"), StrayLines(lines), STOP, END)[-1] == Finish("stop", None)
    assert failure(StrayLines(lines)).code == "up_empty"


def test_an_error_in_stray_lines_is_one_of_the_provider() -> None:
    assert failure(says("a"), StrayLines(b'{"error":{"message":"boom"}}'), STOP, END).message == "boom"


# Content that is no string.

CONTENTS: list[tuple[str, str]] = [
    ("0.005", "0.005"),
    ("1e400", "1e400"),
    ("-0", "-0"),
    ('{"type":"text","text":0}', "0"),
    ("1.50", "1.50"),
    ("12345678901234567890123", "12345678901234567890123"),
    ("NaN", "NaN"),
    ('["a","b"]', "ab"),
    ('["a",["b",[1.0]],null,{},"c"]', "ab1.0c"),
    ('{"type":"text","text":"a"}', "a"),
    ('{"text":"a"}', "a"),
    ('{"type":"text","text":{"value":"a","annotations":[]}}', "a"),
    ('{"type":["text"],"text":"a"}', "a"),
    ('[{"type":"output_text","text":"a"},{"type":"text","text":"b"},"c",{"type":"text","text":2.50}]', "abc2.50"),
    ('[{"type":"refusal","refusal":"a"}]', "a"),
    ('[{"type":"text","text":"\\ud83d"},"\\ude00"]', "😀"),
]


@pytest.mark.parametrize(("written", "text"), CONTENTS)
def test_content_of_any_shape_is_told_to_the_letter(written: str, text: str) -> None:
    for shape in ('{"delta":{"content":%s}}', '{"text":%s}', '{"delta":{"refusal":%s}}', '{"message":{"content":%s}}'):
        event = '{"choices":[%s]}' % (shape % written)
        found = pieces(chunk({"role": "assistant"}), event.encode(), STOP, END)
        assert "".join(piece.text for piece in found if isinstance(piece, Text)) == text, shape


EMPTY = ["null", '""', "[]", "{}", "[[],{},null]", '{"type":"text"}', '{"type":"text","text":null,"annotations":[]}']


@pytest.mark.parametrize("written", EMPTY)
def test_content_of_nothing_is_nothing(written: str) -> None:
    event = b'{"choices":[{"delta":{"content":%b},"text":%b}]}' % (written.encode(), written.encode())
    assert pieces(says("a"), event, STOP) == [Text("a"), Finish("stop", None)]


UNTELLABLE = [
    '{"type":"text","text":false}',
    "true",
    "false",
    '{"a":1}',
    '{"type":"tool_use","input":"f"}',
    '{"value":0.5,"unit":"mm"}',
    '[{"type":"x","text":"","output":"hello"}]',
    '["a",true]',
    '{"type":"text","text":{"a":1}}',
]


@pytest.mark.parametrize("written", [*UNTELLABLE, "[" * 20_000 + "]" * 20_000, "[" + "[]," * 30_000 + "[]]"])
def test_content_that_cannot_be_told_is_a_failure(written: str) -> None:
    found = failure(says("a"), b'{"choices":[{"delta":{"content":%b}}]}' % written.encode(), STOP, END)
    assert (found.status, found.code) == (500, "up_bad_data")


DELTAS: list[Any] = [
    "a",
    ["a"],
    {"content": "a"},
    {"text": "a"},
    {"output_text": "a"},
    {"parts": [{"text": "a"}]},
    {"message": {"content": "a"}},
    {"audio": {"id": "x", "transcript": "a"}},
]
CHUNKS = [
    *({"choices": [{"delta": delta}]} for delta in DELTAS),
    {"choices": [{"content": "a"}]},
    {"choices": {"delta": {"content": "a"}}},
    {"choices": ["a"]},
    {"choices": [None, {"delta": {"content": "a"}}]},
    [{"choices": [{"delta": {"content": "a"}}]}],
]


@pytest.mark.parametrize("chunk", CHUNKS, ids=json.dumps)
def test_a_text_in_any_place_is_told(chunk: object) -> None:
    event = json.dumps(chunk).encode()
    assert pieces([event, event, STOP, END]) == [Text("aa"), Finish("stop", None)]


@pytest.mark.parametrize(
    "hidden", [{"delta": {"says": "a"}}, {"delta": {}, "says": ["a"]}, {"delta": {"foo": {"bar": "a"}}}], ids=json.dumps
)
def test_an_answer_in_a_place_that_nobody_knows_is_no_empty_one(hidden: object) -> None:
    for end in ([STOP, END], [END], [STOP]):
        assert failure({"choices": [hidden]}, *end).code in {"up_bad_data", "up_truncated"}
    assert failure({"choices": [hidden]}, STOP, END).code == "up_bad_data"
    assert pieces({"choices": [hidden]}, says("a"), STOP) == [Text("a"), Finish("stop", None)]


def test_a_text_outside_of_choices_cuts_the_answer() -> None:
    for lost in ({"text": "b"}, {"type": "content_block_delta", "delta": {"text": "b"}}, [says("b"), says("c")]):
        assert failure(says("a"), json.dumps(lost).encode(), says("d"), STOP, END).code == "up_bad_data"


@pytest.mark.parametrize("place", ["delta", "text", "message"])
def test_a_choice_tells_its_text_once_wherever_it_stands(place: str) -> None:
    both = {"text": "a", "message": {"content": "a"}, "delta": {"content": "a"}}
    told = {name: value for name, value in both.items() if name >= place or name == place}
    assert pieces({"choices": [told]}, STOP, END) == [Text("a"), Finish("stop", None)]


def test_a_text_beside_a_thought_is_told() -> None:
    event = {"choices": [{"text": "a", "delta": {"reasoning": "Hm", "content": ""}}]}
    assert pieces(event, STOP) == [Reasoning("Hm"), Text("a"), Finish("stop", None)]


def test_parts_of_thought_and_of_text_come_in_their_order() -> None:
    thinks = {"type": "thinking", "thinking": [{"type": "text", "text": "r"}]}
    content = ["a", thinks, {"type": "text", "text": "b"}, {"type": "reasoning", "summary": [{"text": "s"}]}, "c"]
    assert pieces(chunk({"content": content}), STOP)[:-1] == [
        Text("a"), Reasoning("r"), Text("b"), Reasoning("s"), Text("c"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "thought",
    [
        "Hm",
        ["H", "m"],
        {"content": "Hm"},
        {"text": "Hm"},
        [{"type": "text", "text": "Hm"}],
        {"summary": [{"text": "Hm"}]},
    ],
)
@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_reasoning_of_any_shape_is_reasoning(name: str, thought: object) -> None:
    assert pieces(chunk({name: thought}), says("a"), STOP)[0] == Reasoning("Hm")


def test_a_number_among_thoughts_is_told() -> None:
    event = b'{"choices":[{"delta":{"reasoning":["x=",0.50]}}]}'
    assert pieces(event, says("a"), STOP)[0] == Reasoning("x=0.50")


# A message beside the deltas.


def beside(delta: object, message: str, reason: str | None = None) -> dict[str, object]:
    return {
        "choices": [{"delta": delta, "message": {"role": "assistant", "content": message}, "finish_reason": reason}]
    }


@pytest.mark.parametrize(
    "events",
    [
        [says("Hel"), says("lo"), beside({}, "Hello", "stop")],
        [beside({"content": "Hel"}, "Hel"), beside({"content": "lo"}, "Hello", "stop")],
        [beside({"content": ""}, "Hel"), says("Hel"), says("lo"), STOP],
        [beside({}, "Hello", "stop")],
        [beside(None, "Hel"), beside(None, "Hello", "stop")],
        [beside(None, "Hel"), beside(None, "lo", "stop")],
        [says("Hello"), STOP, beside({}, "Hello")],
        [STOP, beside({}, "Hello")],
    ],
    ids=["last", "every time", "first", "alone", "growing", "in parts", "behind the end", "alone behind the end"],
)
def test_a_message_beside_the_deltas_is_told_where_no_text_was(events: list[object]) -> None:
    *said, finish = pieces(*events, END)
    assert "".join(piece.text for piece in said if isinstance(piece, Text)) == "Hello"
    assert finish == Finish("stop", None)


def test_reasoning_in_a_message_is_told_once_before_its_text() -> None:
    message = {"choices": [{"message": {"reasoning_content": "Hm", "content": "Hi"}, "finish_reason": "stop"}]}
    assert pieces(message) == [Reasoning("Hm"), Text("Hi"), Finish("stop", None)]
    assert pieces(chunk({"reasoning": "Hm"}), message) == [Reasoning("Hm"), Text("Hi"), Finish("stop", None)]


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        (["ha", "ha", "!"], "haha!"),
        (["1", "10", "!"], "110!"),
        (["a", "ab", "abc"], "abc"),
        (["a", "b", "a", "ab"], "abaab"),
        (["a", "a"], "a"),
    ],
)
def test_messages_grow_until_one_does_not_begin_with_the_last(messages: list[str], told: str) -> None:
    events = [beside({}, message) for message in messages]
    assert pieces(*events, STOP, END) == [Text(told), Finish("stop", None)]


def test_of_messages_no_more_is_kept_than_of_an_event() -> None:
    assert failure(*(beside({}, f"{number}" * 2**18) for number in range(5)), STOP, END).code == "up_too_large"
    growing = [beside({}, "a" * size) for size in range(2**19, 2**19 + 10)]
    assert pieces(*growing, STOP, END)[0] == Text("a" * (2**19 + 9))


def test_a_message_is_told_before_an_answer_fails() -> None:
    reader = ChunkReader(ACCOUNT)
    reader.read([encoded(beside({}, "Hi"))])
    assert reader.rest() == [Text("Hi")]
    assert reader.rest() == []
    with pytest.raises(Failure):
        reader.finish()


@pytest.mark.parametrize("content", [True, [{"type": "tool_use", "input": "f"}]], ids=json.dumps)
def test_a_message_that_is_not_told_need_not_be_tellable(content: object) -> None:
    end = {"choices": [{"delta": {}, "message": {"content": content}, "finish_reason": "stop"}]}
    assert pieces(says("a"), end, END) == [Text("a"), Finish("stop", None)]
    assert failure(end, END).code == "up_bad_data"


def test_an_odd_neighbour_changes_nothing_of_what_a_chunk_says() -> None:
    for events, expected in PROVIDERS.values():
        odd = [{**event, "err": 0.0, "code": None} if isinstance(event, dict) else event for event in events]
        assert pieces(*odd) == expected


def test_what_follows_the_end_marker_in_its_read_is_not_read() -> None:
    assert pieces([says("a"), END, says("EVIL"), b"not JSON"]) == [Text("a"), Finish("unknown", None)]


def test_early_usage_is_kept_when_a_later_one_is_null() -> None:
    assert pieces(chunk({"content": "a"}, usage=USAGE), chunk({}, "stop", usage=None))[-1] == Finish("stop", USAGE)


def test_only_the_first_choice_is_told() -> None:
    choices = [{"index": 0, "delta": {"content": "a"}}, {"index": 1, "delta": {"content": "b"}}]
    assert pieces({"choices": choices}, END) == [Text("a"), Finish("unknown", None)]


# Characters.


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ((r"\ud83d", r"\ude00"), "😀"),
        ((r"a\ud83d", r"\ude00b"), "a😀b"),
        ((r"\ud83d\ude00",), "😀"),
        ((r"\ud83d", r"\ude00\ud83d", r"\ude00"), "😀😀"),
        ((r"\ud83d", "", r"\ude00"), "😀"),
        ((r"\ud83d",), LOST),
        ((r"a\ud83d",), "a" + LOST),
        ((r"\ude00",), LOST),
        ((r"\ude00a",), LOST + "a"),
        ((r"\ud83d", "a"), LOST + "a"),
        ((r"\ud83d", "é"), LOST + "é"),
        ((r"\ud83d", r"\ud83d", r"\ude00"), LOST + "😀"),
        ((r"\ud83d\ud83d", "a"), LOST + LOST + "a"),
        ((r"\ude00\ud83d",), LOST + LOST),
        ((r"\ud83d", r"\n"), LOST + "\n"),
    ],
)
@pytest.mark.parametrize("joined", [True, False], ids=["one read", "many reads"])
def test_halves_of_a_character_are_joined_and_lone_ones_replaced(
    texts: tuple[str, ...],
    expected: str,
    joined: bool,  # noqa: FBT001 - a parameter of the table
) -> None:
    events = [b'{"choices":[{"delta":{"content":"%b"}}]}' % text.encode() for text in texts]
    *found, finish = pieces(*([events] if joined else events), END)
    assert all(isinstance(piece, Text) and piece.text for piece in found)
    assert "".join(piece.text for piece in found if isinstance(piece, Text)) == expected
    assert isinstance(finish, Finish)


def test_halves_of_text_and_of_reasoning_are_kept_apart() -> None:
    events = [
        b'{"choices":[{"delta":{"content":"\\ud83d"}}]}',
        b'{"choices":[{"delta":{"reasoning":"\\ud83d"}}]}',
        b'{"choices":[{"delta":{"content":"\\ude00"}}]}',
        b'{"choices":[{"delta":{"reasoning":"\\ude01"}}]}',
    ]
    assert pieces(*events, END) == [Text("😀"), Reasoning("😁"), Finish("unknown", None)]


@pytest.mark.parametrize(
    "text", ["\0", "\r\n", "\u2028\u2029\u0085", "\ufeff", "\ufffe\uffff", "\U0010ffff", "e\u0301"]
)
def test_every_character_passes_unchanged(text: str) -> None:
    assert pieces(says(text), END)[0] == Text(text)
    assert pieces(json.dumps(says(text), ensure_ascii=False).encode(), END)[0] == Text(text)


# What should not come.

ODD: list[Any] = [
    None,
    [],
    "s",
    42,
    1.5,
    True,
    {},
    [1],
    [[]],
    {"choices": None},
    {"choices": []},
    {"choices": {}},
    {"choices": "s"},
    {"choices": 42},
    {"choices": [None]},
    {"choices": [""]},
    {"choices": [[]]},
    {"choices": [{}]},
    {"choices": [{"delta": None}]},
    {"choices": [{"delta": []}]},
    {"choices": [{"delta": {"content": None}}]},
    {"choices": [{"delta": {"content": {}}}]},
    {"choices": [{"delta": {"content": []}}]},
    {"choices": [{"delta": {"content": [{"type": "text"}]}}]},
    {"choices": [{"delta": {"content": [{"type": "text", "text": None}]}}]},
    {"choices": [{"delta": {"reasoning": True, "reasoning_content": []}}]},
    {"choices": [{"delta": {}, "finish_reason": 42}]},
    {"choices": [{"delta": {}, "finish_reason": ""}]},
    {"usage": 42},
    {"usage": []},
    {"usage": {}},
    {"x_groq": 42},
    {"x_groq": {"usage": None}},
    {"x_groq": {"usage": 42}},
    {"x_groq": {"usage": "s"}},
    {"x_groq": []},
    {"object": 42},
    {"object": None},
    {"message": "s"},
    {"error": None},
    {"type": "ping"},
    {"status": "queued", "message": "position 3"},
    {"code": 0, "message": "Success"},
]


@pytest.mark.parametrize("odd", ODD, ids=json.dumps)
def test_an_odd_chunk_is_skipped(odd: object) -> None:
    odd = json.dumps(odd).encode()
    assert pieces(says("a"), odd, says("b"), chunk({}, "stop")) == [Text("a"), Text("b"), Finish("stop", None)]
    assert pieces([says("a"), odd, says("b"), END]) == [Text("ab"), Finish("unknown", None)]


def test_an_odd_field_costs_only_itself() -> None:
    odd = {"choices": [{"delta": {"content": "a", "reasoning": True}, "finish_reason": "stop"}], "usage": USAGE}
    assert pieces(odd) == [Text("a"), Finish("stop", USAGE)]
    halves = b'{"choices":[{"delta":{"content":"a\\ud83d\\ude00\\ud83d"}}],"x_groq":{"usage":{"total_tokens":8}}}'
    assert pieces(halves, END)[-1] == Finish("unknown", {"total_tokens": 8})


def test_numbers_unknown_to_json_are_ignored_where_nobody_reads() -> None:
    event = b'{"choices":[{"delta":{"content":"a"},"logprobs":{"x":[NaN,-Infinity,1e400]}}]}'
    assert pieces(event, END) == [Text("a"), Finish("unknown", None)]


BAD = {
    "not JSON": b"oops",
    "half JSON": b'{"choices":[{"del',
    "two values": b'{"a":1}{"b":2}',
    "single quotes": b"{'a':1}",
    "a trailing comma": b'{"choices":[],}',
    "bytes that are not UTF-8": b'{"choices":[{"delta":{"content":"a\xff\xfeb"}}]}',
    "half a character": b'{"choices":[{"delta":{"content":"\xf0\x9f"}}]}',
    "an encoded surrogate": b'{"choices":[{"delta":{"content":"\xed\xa0\xbd"}}]}',
    "UTF-16": '{"choices":[]}'.encode("utf-16"),
    "a control character": b'{"choices":[{"delta":{"content":"a\0b"}}]}',
    "100000 lists": b"[" * 100_000,
    "100000 closed lists": b'{"choices":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "100000 objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "100000 lists in what nobody reads": b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a number of 5000 digits": b'{"usage":{"n":' + b"9" * 5000 + b"}}",
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_an_event_that_is_not_json_is_a_failure(bad: bytes) -> None:
    found = failure(says("a"), bad)
    assert (found.status, found.code) == (500, "up_bad_data")
    assert failure(bad).code == "up_bad_data"


@pytest.mark.parametrize("depth", range(100, 1100, 50))
def test_no_depth_of_content_is_a_mistake_of_ours(depth: int) -> None:
    """Somewhere below the decoder's own limit a recursion of ours could have a lower one."""
    content = b'[{"type":"text","text":' * depth + b'"a"' + b"}]" * depth
    event = b'{"choices":[{"delta":{"content":%b}}]}' % content
    with suppress(Failure):
        assert pieces(event, END)[-1] == Finish("unknown", None)


# Errors in the stream.

ERRORS: dict[str, tuple[object, int, str, str]] = {
    "OpenAI": (
        {"error": {"message": "The server had an error.", "type": "server_error", "param": None, "code": None}},
        500,
        "provider_error",
        "The server had an error.",
    ),
    "a code in words": (
        {"error": {"message": "Too fast.", "type": "tokens", "code": "rate_limit_exceeded"}},
        500,
        "provider_error",
        "Too fast.",
    ),
    "OpenRouter": (
        {
            **chunk({"content": ""}, "error"),
            "error": {"code": 502, "message": "Provider returned error", "metadata": {}},
        },
        502,
        "provider_error",
        "Provider returned error",
    ),
    "a status in a string": (
        {"error": {"code": "429", "message": "Slow down."}},
        429,
        "provider_rate_limited",
        "Slow down.",
    ),
    "a status that is none": ({"error": {"code": 200, "message": "Odd."}}, 500, "provider_error", "Odd."),
    "another that is none": ({"error": {"code": 4290, "message": "Odd."}}, 500, "provider_error", "Odd."),
    "a code that is a list": ({"error": {"code": [429], "message": "Odd."}}, 500, "provider_error", "Odd."),
    "Ollama, a string": ({"error": "model runner has unexpectedly stopped"}, 500, "provider_error", "model runner .*"),
    "vLLM": (
        {"error": {"message": "boom", "type": "InternalServerError", "param": None, "code": 500}},
        500,
        "provider_error",
        "boom",
    ),
    "vLLM, older": (
        {"object": "error", "message": "boom", "type": "BadRequestError", "param": None, "code": 400},
        500,
        "provider_error",
        "boom",
    ),
    "nothing but an object": ({"object": "error"}, 500, "provider_error", "Groq reported an error in its answer."),
    "an empty error": ({"error": {}}, 500, "provider_error", "Groq reported an error in its answer."),
    "an error in a list": ({"error": ["one", {"message": "two"}]}, 500, "provider_error", "one; two"),
    "a number": ({"error": 42}, 500, "provider_error", "Groq reported an error in its answer."),
    "Anthropic": (
        {"type": "error", "error": {"details": None, "type": "overloaded_error", "message": "Overloaded"}},
        500,
        "provider_error",
        "Overloaded",
    ),
    "a finish reason": (chunk({}, "error"), 500, "provider_error", "Groq reported an error in its answer."),
    "a content filter": (
        {"error": {"code": "content_filter", "message": "Filtered.", "status": 400}},
        400,
        "content_filter",
        "Filtered.",
    ),
    "a quota": (
        {"error": {"code": "insufficient_quota", "message": "Pay."}},
        500,
        "provider_quota",
        "Pay.",
    ),
    "an odd neighbour": (
        {"choices": 42, "usage": 42, "error": {"message": "boom"}},
        500,
        "provider_error",
        "boom",
    ),
    "text beside a code": (
        {**chunk({"content": ""}), "error_code": 336003, "error_msg": "boom"},
        500,
        "provider_error",
        "boom",
    ),
    "a code in a string": ({"error_code": "17", "error_msg": "boom"}, 500, "provider_error", "boom"),
    "a type and a message": ({"error_type": "overloaded", "error_message": "boom"}, 500, "provider_error", "boom"),
    "camels": ({**chunk({}), "errorCode": "E1", "errorMessage": "boom"}, 500, "provider_error", "boom"),
    "a list": ([{"error": {"code": 503, "message": "boom"}}], 503, "provider_overloaded", "boom"),
    "a list of one without a wrapper": ([{"code": 1, "message": "boom"}], 500, "provider_error", "boom"),
    "a detail": ({"detail": "boom"}, 500, "provider_error", "boom"),
    "FastAPI": ({"detail": [{"loc": ["body", "n"], "msg": "boom"}]}, 500, "provider_error", "body.n: boom"),
    "Groq's own": ({**chunk({}), "x_groq": {"error": "boom"}}, 500, "provider_error", "boom"),
    "a choice's": ({"choices": [{"delta": {}, "error": {"message": "boom"}}]}, 500, "provider_error", "boom"),
    "a word and a message": ({"error": "Unavailable", "message": "boom"}, 500, "provider_error", "boom"),
    "true and a message": ({"error": True, "message": "boom"}, 500, "provider_error", "boom"),
    "a code and a message": ({"code": 1001, "msg": "boom"}, 500, "provider_error", "boom"),
    "the same beside text": ({**chunk({}), "code": 1001, "msg": "boom"}, 500, "provider_error", "boom"),
    "DashScope": ({"code": "InvalidParameter", "message": "boom", "request_id": "r"}, 500, "provider_error", "boom"),
    "MiniMax": (
        {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "boom"}},
        500,
        "provider_error",
        "boom",
    ),
    "a type alone": ({"type": "error", "message": "boom"}, 500, "provider_error", "boom"),
    "an event's name": (ErrorEvent(b'{"message":"boom"}'), 500, "provider_error", "boom"),
    "an event's name and a sentence": (ErrorEvent(b"boom"), 500, "provider_error", "boom"),
    "an event's name and nothing": (ErrorEvent(b"{}"), 500, "provider_error", "Groq reported an error in its answer."),
    "a line of llama.cpp's": (ErrorEvent(b'{"code":503,"message":"boom"}'), 503, "provider_overloaded", "boom"),
    "an older one with an odd neighbour": (
        {"choices": 42, "object": "error", "message": "boom"},
        500,
        "provider_error",
        "boom",
    ),
}


@pytest.mark.parametrize(("event", "status", "code", "message"), ERRORS.values(), ids=ERRORS)
def test_an_error_in_the_stream_is_one_of_the_provider(event: object, status: int, code: str, message: str) -> None:
    for reads in ([event], [says("a"), event], [says("a"), event, END], [[event, says("a"), END]]):
        found = failure(*reads)
        assert (found.status, found.code) == (status, code)
        assert found.message == message or (message.endswith(".*") and found.message.startswith(message[:-2]))


ALONE = {"an empty error", "a code and a message", "the same beside text", "DashScope", "a detail", "FastAPI"}
"""What is an error only where no answer is."""
ANYWHERE = {name: error[:3] for name, error in ERRORS.items() if name not in ALONE and isinstance(error[0], dict)}


@pytest.mark.parametrize(("event", "status", "code"), ANYWHERE.values(), ids=ANYWHERE)
def test_an_error_is_seen_whatever_its_chunk_says(event: dict[str, object], status: int, code: str) -> None:
    """The plain decoder and the tolerant reader must agree on what may be an error."""
    for delta in ({"content": "b"}, {"content": ""}):
        choice = {"delta": delta, "error": None, **members(event.get("choices"))}
        found = failure(says("a"), {**event, "choices": [choice]}, STOP, END)
        assert (found.status, found.code) == (status, code)


def members(choices: object) -> dict[str, object]:
    first = choices[0] if isinstance(choices, list) and choices else {}
    return {name: value for name, value in first.items() if name != "delta"}


BESIDE: list[dict[str, Any]] = [
    {"object": "error", "message": "boom"},
    {"type": "error", "message": "boom"},
    {"status": "error", "message": "boom"},
    {"status": "failed", "message": "boom"},
    {"status": 429, "message": "boom"},
    {"status_code": 500, "message": "boom"},
    {"base_resp": {"status_code": 1027, "status_msg": "boom"}},
    {"x_groq": {"error_msg": "boom"}},
    {"x_other": {"error": "boom"}},
    {"Error": {"message": "boom"}},
    {"ERROR": "boom"},
    {"error-message": "boom"},
    {"errorDetail": "boom"},
    {"error_info": {"message": "boom"}},
    {"exception": "boom"},
    {"success": False, "message": "boom"},
    {"statusCode": 500, "message": "boom"},
    {"code": "InternalError", "message": "boom"},
]


@pytest.mark.parametrize("error", BESIDE, ids=json.dumps)
def test_an_error_beside_an_end_is_seen(error: dict[str, Any]) -> None:
    assert failure(says("a"), {**STOP, **error}, END).message == "boom"
    assert failure(says("a"), {"choices": [], **error}, STOP, END).message == "boom"


def test_an_error_in_a_message_beside_an_end_is_seen() -> None:
    choice = {"delta": {}, "message": {"error": "boom"}, "finish_reason": "stop"}
    assert failure(says("a"), {"choices": [choice]}, END).message == "boom"


@pytest.mark.parametrize(
    "said", ["操作成功", "请求成功", "正常", "Request was processed successfully", "Completed", "done", "no errors"]
)
def test_a_code_of_its_own_for_success_is_no_error(said: str) -> None:
    assert pieces(says("a"), {**STOP, "code": 10000, "message": said}, END)[-1] == Finish("stop", None)
    assert failure(says("a"), {**STOP, "code": 10000, "message": f"not {said}"}, END).code == "provider_error"


def test_a_refusal_that_is_a_switch_says_nothing() -> None:
    assert pieces(chunk({"content": "a", "refusal": False}), STOP, END) == [Text("a"), Finish("stop", None)]


def test_what_costs_more_than_chunks_do_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "MAX_UNPLAIN_CHUNKS", 3)
    number = chunk({"content": 1})
    assert pieces(number, number, END)[:2] == [Text("1"), Text("1")]
    assert failure(number, number, number, STOP, END).code == "up_too_large"


@pytest.mark.parametrize("name", ["error", "errors", "error_message", "error_msg"])
def test_an_error_in_a_choice_or_a_delta_is_seen(name: str) -> None:
    for text in ("b", ""):
        delta = {"content": text}
        for choice in ({"delta": delta, name: "boom"}, {"delta": {**delta, name: "boom"}, "finish_reason": "stop"}):
            assert failure(says("a"), {"choices": [choice]}, STOP, END).code == "provider_error"


LONG = 140 * 1024


@pytest.mark.parametrize("echo", ["x" * LONG, [0] * LONG], ids=["a text", "a list"])
def test_an_error_is_seen_and_told_however_large_it_is(echo: object) -> None:
    error = {"message": "boom", "echo": echo}
    found = failure(says("a"), {"choices": [], "error": error}, END)
    assert (found.status, found.code, found.message) == (500, "provider_error", "boom")
    found = failure({"error": {**error, "code": 429}}, END)
    assert (found.status, found.message) == (429, "boom")
    assert failure(ErrorEvent(json.dumps({"error": error}).encode())).message == "boom"
    assert failure(says("a"), {**STOP, "error": [echo]}, END).code == "provider_error"


@pytest.mark.parametrize("data", [b'{"message":"boom', b'[{"', b" {not JSON}"])
def test_of_an_error_that_is_broken_json_nothing_is_told(data: bytes) -> None:
    assert failure(ErrorEvent(data)).message == "Groq reported an error in its answer."


@pytest.mark.parametrize(
    "harmless",
    [
        {"error": {"code": "", "message": ""}},
        {"error": {"code": None, "message": None, "details": [None, {}]}},
        {"error": [None]},
        {"error": [{}]},
        {"error": {"code": 0, "message": "success"}},
        {"errors": {"a": []}},
        {"x_groq": {"error": {"message": ""}}},
        {"error_message": "Success."},
        {"error_code": 200, "error_msg": "x"},
        {"code": 20000, "message": "Request successful"},
        {"code": 100, "msg": "成功"},
        {"base_resp": {"status_code": 0, "status_msg": ""}},
        {"error": ""},
        {"error": None},
        {"error": {}},
        {"error": []},
        {"error": False},
        {"error_code": 0, "error_msg": ""},
        {"error_code": "0", "error_msg": "success"},
        {"code": 0, "message": "Success"},
        {"code": 200, "msg": "ok"},
        {"x_groq": {"error": None}},
        {"detail": "high"},
        {"status": "in_progress", "message": "working"},
    ],
    ids=json.dumps,
)
def test_an_error_of_nothing_beside_an_answer_is_none(harmless: dict[str, object]) -> None:
    assert pieces({**says("a"), **harmless}, {**STOP, **harmless}, END) == [Text("a"), Finish("stop", None)]


def test_a_key_refused_in_the_stream_is_an_error_of_the_key() -> None:
    for error in ({"code": 401, "message": "User not found."}, {"message": f"Incorrect API key provided: {KEY}."}):
        found = failure({"error": error})
        assert (found.status, found.code) == (401, "provider_auth")
        assert found.message == "Groq API Key is incorrect. Please fix it in your profile settings."


def test_the_text_of_an_error_shows_no_key() -> None:
    assert failure({"error": {"message": f"no: {KEY} and sk-other"}}).message == "no: [key] and [key]"


def test_any_text_of_an_error_can_be_encoded() -> None:
    assert failure(b'{"error":{"message":"a \\ud83d b"}}').message.encode()


def test_any_finish_reason_and_any_usage_can_be_encoded() -> None:
    event = b'{"choices":[{"delta":{},"finish_reason":"\\ud83d"}],"usage":{"\\ud83d":"\\ud83d"}}'
    finish = pieces(event)[-1]
    assert isinstance(finish, Finish)
    assert json.dumps([finish.reason, finish.usage], ensure_ascii=False).encode()


def test_a_failure_behind_good_pieces_comes_after_them() -> None:
    for bad in (b"oops", b'{"error":"boom"}', b'{"choices":[{"delta":{"content":"c"},"finish_reason":"error"}]}'):
        reader = ChunkReader(ACCOUNT)
        found, failed = reader.read([encoded(says("a")), encoded(says("b")), bad, encoded(says("EVIL"))])
        assert found in ([Text("ab")], [Text("abc")])
        assert isinstance(failed, Failure)


@pytest.mark.parametrize("before", [[], [STOP], [STOP, b"oops"]], ids=["OPEN", "FINISHED", "SPOILED"])
def test_the_marker_ends_an_answer_that_nothing_doubts(before: list[object]) -> None:
    reader = ChunkReader(ACCOUNT)
    found, failed = reader.read([encoded(event) for event in (says("a"), *before, END, says("EVIL"))])
    assert (found, failed, reader.state) == ([Text("a")], None, State.ENDED)
    assert reader.finish() == [Finish("stop" if before else "unknown", None)]


def test_the_marker_of_a_doubted_answer_is_a_cut() -> None:
    found, failed = ChunkReader(ACCOUNT).read([encoded(event) for event in (says("a"), {"oh": "no"}, END)])
    assert found == [Text("a")]
    assert failed is not None
    assert failed.code == "up_truncated"


def test_an_answer_filtered_before_its_first_word_is_a_refusal() -> None:
    found = failure(chunk({"content": ""}), chunk({}, "content_filter"), END)
    assert (found.status, found.code) == (400, "content_filter")
    assert found.message == "Groq's content filter stopped the answer."
