"""Every fault, as it shows on the socket."""

import json
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.simulator import ANSWER, EMOJI, words
from app.simulator.faults import TABLE, UnknownFaultError, parse
from app.simulator.providers import WITH_OWN_FILE
from tests.machine import slack
from tests.processes import Simulator, wait_for

from .questions import KEY, PATHS, chat, chunks, events, opened, post, question, request

each_provider = pytest.mark.parametrize("provider", WITH_OWN_FILE)
END = b"\r\n0\r\n\r\n"


def dechunked(data: bytes) -> list[bytes]:
    """Return the chunks after an answer's head; the last is empty if the body ended as HTTP wants."""
    found, at = [], data.index(b"\r\n\r\n") + 4
    while at < len(data):
        start = data.index(b"\r\n", at) + 2
        end = start + int(data[at:start], 16)
        assert data[end : end + 2] == b"\r\n"
        found.append(data[start:end])
        at = end + 2
    return found


def spoken(data: bytes) -> str:
    """Return the text in whole events, also of an answer that was cut."""
    found = [event.removeprefix(b"data: ") for event in data.split(b"\n\n")[:-1]]
    whole = [json.loads(event) for event in found if event.startswith(b'{"')]
    return "".join(choice["delta"].get("content") or "" for chunk in whole for choice in chunk.get("choices", []))


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-4o", ("gpt-4o", {})),
        ("gpt-4o@status-429@retry-7", ("gpt-4o", {"status": 429, "retry": 7})),
        ("demo@slow-0.5@stall", ("demo", {"slow": 0.5, "stall": 3})),
        ("demo@filter-prompt", ("demo", {"filter-prompt": 0})),
    ],
)
def test_a_models_name_carries_its_faults(model: str, expected: tuple[str, dict[str, float]]) -> None:
    assert parse(model) == expected


@pytest.mark.parametrize(
    "suffix", ["nope", "", "status", "status-99", "status-600", "stall-1.5", "stall--1", "json-3", "json-", "slow-nan"]
)
@each_provider
def test_an_unknown_fault_is_refused_by_name(simulator: Simulator, provider: str, suffix: str) -> None:
    with pytest.raises(UnknownFaultError, match=f"'{suffix}'"):
        parse(f"demo@{suffix}")
    answer = chat(simulator, provider, f"demo@{suffix}")
    assert answer.status == 400
    assert f"'{suffix}'" in answer.body.decode()


@pytest.mark.parametrize("fault", [fault.name for fault in TABLE])
@each_provider
def test_every_fault_is_spoken_for_each_provider(simulator: Simulator, provider: str, fault: str) -> None:
    suffix = "status-418" if fault == "status" else fault
    with opened(simulator, provider, f"demo@{suffix}") as connection:
        if fault in ("hang", "late"):
            assert connection.is_silent()
        else:
            assert connection.take(size=12).startswith(b"HTTP/1.1 ")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 413, 422, 429, 498, 500, 502, 503, 504, 529])
@each_provider
def test_a_status_comes_with_the_providers_own_body(simulator: Simulator, provider: str, status: int) -> None:
    answer = chat(simulator, provider, f"demo@status-{status}")
    assert (answer.status, answer.headers["content-type"]) == (status, "application/json")
    if provider == "mistral":
        assert answer.json().keys() >= {"object", "message", "type", "param", "code"} or status == 401
    else:
        assert answer.json()["error"]["message"]
    assert "retry-after" not in answer.headers


@pytest.mark.parametrize(
    ("provider", "code"),
    [("openai", "rate_limit_exceeded"), ("azure", "429"), ("groq", "rate_limit_exceeded"), ("mistral", "1300")],
)
def test_a_rate_limit_comes_with_its_headers(simulator: Simulator, provider: str, code: str) -> None:
    answer = chat(simulator, provider, "demo@status-429@retry-7")
    assert answer.json().get("error", answer.json())["code"] == code
    assert answer.headers["retry-after"] == "7"
    left = "x-ratelimit-remaining-req-minute" if provider == "mistral" else "x-ratelimit-remaining-requests"
    assert answer.headers[left] == "0"
    assert chat(simulator, provider, "demo").headers[left] == "9999"


def test_a_rate_limit_names_the_seconds_to_wait(simulator: Simulator) -> None:
    assert (
        "Please retry after 7 seconds." in chat(simulator, "azure", "d@status-429@retry-7").json()["error"]["message"]
    )


@pytest.mark.parametrize(
    ("fault", "status", "codes"),
    [
        ("quota", 429, ["insufficient_quota"] * 4),
        ("context", 400, ["context_length_exceeded"] * 3 + ["3051"]),
        ("filter-prompt", 400, ["content_filter"] * 3 + [None]),
    ],
)
def test_a_refusal_for_a_reason_has_the_providers_code(
    simulator: Simulator, fault: str, status: int, codes: list[str | None]
) -> None:
    for provider, code in zip(WITH_OWN_FILE, codes, strict=True):
        answer = chat(simulator, provider, f"demo@{fault}")
        assert (answer.status, answer.json().get("error", answer.json())["code"]) == (status, code)


def test_azures_content_filter_says_what_it_saw(simulator: Simulator) -> None:
    error = chat(simulator, "azure", "demo@filter-prompt").json()["error"]
    assert (error["type"], error["param"], error["status"]) == (None, "prompt", 400)
    assert error["innererror"]["code"] == "ResponsibleAIPolicyViolation"
    assert error["innererror"]["content_filter_result"]["violence"] == {"filtered": True, "severity": "medium"}


@each_provider
def test_a_refusal_can_echo_the_whole_key(simulator: Simulator, provider: str) -> None:
    answer = chat(simulator, provider, "demo@echo-key")
    assert answer.status == 400
    assert b"sk-simulated-0123456789" in answer.body


def test_html_stands_in_for_an_answer_or_for_an_error(simulator: Simulator) -> None:
    for model, status, title in (("demo@html", 200, "200 OK"), ("demo@status-502@html", 502, "502 Bad Gateway")):
        answer = chat(simulator, "openai", model)
        assert (answer.status, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert f"<title>{title}</title>" in answer.body.decode()


@pytest.mark.parametrize(
    ("model", "status"), [("demo@empty", 200), ("demo@status-503@empty", 503), ("d@status-204", 204)]
)
def test_a_body_can_be_empty(simulator: Simulator, model: str, status: int) -> None:
    answer = chat(simulator, "mistral", model)
    assert (answer.status, answer.body) == (status, b"")


def test_a_redirect_leads_to_a_path_that_answers(simulator: Simulator) -> None:
    for path, body in (
        (PATHS["openai"], question("demo@redirect@events-1")),
        ("/azure/openai/deployments/demo%40redirect/chat/completions?api-version=2024-10-21", question("")),
    ):
        answer = request(simulator, "POST", path, body, KEY)
        assert (answer.status, answer.body) == (307, b"")
        assert answer.headers["location"] == path.replace("/completions", "/completions/redirected")
        assert chunks(request(simulator, "POST", answer.headers["location"], body, KEY))[-1]["choices"]


@pytest.mark.parametrize(("model", "status"), [("demo@late-0.2", 200), ("demo@late-0.2@status-500", 500)])
def test_headers_can_come_late(simulator: Simulator, model: str, status: int) -> None:
    began = time.monotonic()
    with opened(simulator, "groq", model) as connection:
        assert connection.take(size=12) == b"HTTP/1.1 %d" % status
    assert time.monotonic() - began >= 0.2


def test_the_first_event_can_come_late(simulator: Simulator) -> None:
    began = time.monotonic()
    with opened(simulator, "openai", "demo@slow-0.2@stall-1") as connection:
        assert connection.until(b"\r\n\r\n").endswith(b"\r\n\r\n")
        connection.until(b'"content":"A"')
        assert time.monotonic() - began >= 0.2


def test_headers_can_come_alone_or_not_at_all(simulator: Simulator) -> None:
    with opened(simulator, "openai", "demo@silent") as silent, opened(simulator, "openai", "demo@hang") as hanging:
        assert silent.until(b"\r\n\r\n").endswith(b"\r\n\r\n")
        assert silent.is_silent()
        assert hanging.is_silent()


def test_comments_keep_a_stream_alive_that_says_nothing(simulator: Simulator) -> None:
    began = time.monotonic()
    with opened(simulator, "openai", "demo@comments") as connection:
        while connection.received.count(b": ping\n\n") < 4:
            assert connection.take()
        assert 0.14 < time.monotonic() - began < 5 * slack()
        assert b"data:" not in connection.received


def test_events_keep_their_pace(simulator: Simulator) -> None:
    began = time.monotonic()
    assert spoken(chat(simulator, "groq", "demo@events-10@pace-20").body) == "".join(words(10))
    assert 0.2 < time.monotonic() - began < 5 * slack()


@each_provider
def test_an_emoji_is_split_over_two_events_as_escapes(simulator: Simulator, provider: str) -> None:
    answer = chat(simulator, provider, "demo@emoji")
    for half in (rb'"content":"\ud83d"', rb'"content":"\udc69"', rb'"content":"\ude80"', rb'"content":"\ude00"'):
        assert half in answer.body
    assert '"content":" naïve "'.encode() in answer.body
    assert spoken(answer.body).encode("utf-16", "surrogatepass").decode("utf-16") == EMOJI


def test_every_byte_can_be_a_chunk_of_its_own(simulator: Simulator) -> None:
    with opened(simulator, "openai", "demo@bytewise", stream_options={"include_obfuscation": False}) as connection:
        parts = dechunked(connection.until(END))
    assert {len(part) for part in parts[:-1]} == {1}
    assert parts[-1] == b""
    assert spoken(b"".join(parts)) == ANSWER
    assert "é".encode() in b"".join(parts)


@pytest.mark.parametrize("model", ["demo@bytewise@status-500", "demo@bytewise@json"])
def test_a_whole_body_can_come_bytewise(simulator: Simulator, model: str) -> None:
    answer = chat(simulator, "openai", model)
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.json()


def test_bytes_arrive_one_after_the_other(simulator: Simulator) -> None:
    with opened(simulator, "openai", "demo@bytewise@events-40") as connection:
        reads: list[bytes] = []
        while not reads or not reads[-1].endswith(b"0\r\n\r\n"):
            reads.append(connection.take())
    assert len(reads) > 20


def test_lines_can_end_in_crlf(simulator: Simulator) -> None:
    body = chat(simulator, "openai", "demo@crlf").body
    assert body.count(b"\n") == body.count(b"\r\n") == 2 * body.count(b"data: ")
    assert spoken(body.replace(b"\r\n", b"\n")) == ANSWER


def assert_five_words_and_no_end(data: bytes) -> None:
    assert spoken(b"".join(dechunked(data))) == "".join(words(5))
    assert b"[DONE]" not in data
    assert b'"finish_reason":"stop"' not in data


@pytest.mark.parametrize(("fault", "end"), [("cut", "fin"), ("reset", "reset")])
@each_provider
def test_an_answer_can_break_off_with_its_connection(simulator: Simulator, provider: str, fault: str, end: str) -> None:
    with opened(simulator, provider, f"demo@{fault}-5") as connection:
        ended, data = connection.end(), connection.received
    assert ended == end
    assert not data.endswith(END)
    assert_five_words_and_no_end(data)


@pytest.mark.parametrize("fault", ["truncated", "error"])
@each_provider
def test_an_answer_can_break_off_and_end_as_http_wants(simulator: Simulator, provider: str, fault: str) -> None:
    with opened(simulator, provider, f"demo@{fault}-5") as connection:
        data = connection.until(END)
        assert connection.is_silent()
    assert_five_words_and_no_end(data)


@each_provider
def test_an_answer_can_fall_silent(simulator: Simulator, provider: str) -> None:
    with opened(simulator, provider, "demo@stall-5") as connection:
        while connection.received.count(b"data: ") < (7 if provider == "azure" else 6):
            assert connection.take()
        connection.until(b"\n\n\r\n")
        assert connection.is_silent()
    assert_five_words_and_no_end(connection.received)


@pytest.mark.parametrize(
    ("provider", "event"),
    [
        ("openai", b'data: {"error":{"message":"The server had an error'),
        ("azure", b'data: {"error":{"message":"The server had an error'),
        ("groq", b'data: {"error":{"message":"Internal Server Error"'),
        ("mistral", b'data: {"object":"error","message":"Internal server error"'),
    ],
)
def test_an_error_in_mid_stream_has_the_providers_form(simulator: Simulator, provider: str, event: bytes) -> None:
    assert chat(simulator, provider, "demo@error-1").body.split(b"\n\n")[-2].startswith(event)


def test_an_answer_can_break_off_before_its_first_word(simulator: Simulator) -> None:
    with opened(simulator, "openai", "demo@cut-0") as connection:
        ended, data = connection.end(), connection.received
    assert (ended, data.count(b"data: ")) == ("fin", 1)


def test_an_answer_cut_after_its_last_word_has_no_end_either(simulator: Simulator) -> None:
    with opened(simulator, "openai", "demo@events-2@cut-9") as connection:
        ended, data = connection.end(), connection.received
    assert (ended, data.count(b"data: ")) == ("fin", 3)


def test_done_can_be_missing_after_the_finish(simulator: Simulator) -> None:
    body = chat(simulator, "openai", "demo@nodone").body
    assert b'"finish_reason":"stop"' in body
    assert b"[DONE]" not in body


def test_one_line_can_be_broken_json(simulator: Simulator) -> None:
    found = events(chat(simulator, "openai", "demo@badjson-1"))
    with pytest.raises(json.JSONDecodeError):
        json.loads(found[2])
    assert (json.loads(found[3])["choices"][0]["delta"]["content"], found[-1]) == (" chat", "[DONE]")


def test_one_event_can_be_broken_utf8(simulator: Simulator) -> None:
    found = chat(simulator, "openai", "demo@badutf8-1").body.split(b"\n\n")
    with pytest.raises(UnicodeDecodeError):
        found[2].decode()
    assert json.loads(found[2].decode(errors="replace").removeprefix("data: "))
    assert found[-2:] == [b"data: [DONE]", b""]


@pytest.mark.parametrize(("fault", "reason"), [("filtered", "content_filter"), ("length", "length")])
@each_provider
def test_an_answer_can_end_for_another_reason(simulator: Simulator, provider: str, fault: str, reason: str) -> None:
    last = chunks(chat(simulator, provider, f"demo@{fault}"))[-1]
    assert [choice["finish_reason"] for choice in last["choices"]] == [reason]
    assert chat(simulator, provider, f"demo@{fault}@json").json()["choices"][0]["finish_reason"] == reason


def test_azure_says_what_it_filtered(simulator: Simulator) -> None:
    verdicts = chunks(chat(simulator, "azure", "demo@filtered"))[-1]["choices"][0]["content_filter_results"]
    assert verdicts["violence"] == {"filtered": True, "severity": "medium"}


@each_provider
def test_usage_can_be_missing(simulator: Simulator, provider: str) -> None:
    asked = {} if provider == "mistral" else {"stream_options": {"include_usage": True}}
    assert b'"usage":' not in chat(simulator, provider, "demo@nousage", **asked).body
    assert "usage" not in chat(simulator, provider, "demo@nousage@json").json()


def test_json_can_come_where_a_stream_was_asked(simulator: Simulator) -> None:
    answer = chat(simulator, "openai", "demo@json")
    assert (answer.headers["content-type"], answer.json()["object"]) == ("application/json", "chat.completion")


def test_words_can_come_for_ever(simulator: Simulator) -> None:
    with opened(simulator, "openai", "demo@endless@pace-1") as connection:
        while connection.received.count(b"data: ") < 3 * len(ANSWER.split()):
            assert connection.take()
    assert b'finish_reason":"' not in connection.received


def test_an_endless_answer_can_break_off(simulator: Simulator) -> None:
    with opened(simulator, "openai", "demo@endless@cut-200@pace-0") as connection:
        ended, data = connection.end(), connection.received
    assert ended == "fin"
    assert spoken(b"".join(dechunked(data))) == "".join(words(200))


def test_an_endless_answer_that_nobody_reads_takes_no_memory(simulator: Simulator) -> None:
    with ExitStack() as connections:
        for _ in range(20):
            connections.enter_context(opened(simulator, "openai", "demo@endless@pace-0")).until(b"data: ")
        before = memory(simulator)
        for _ in range(200):
            assert chat(simulator, "groq", "demo").status == 200
            assert memory(simulator) - before < 8 * 1024 * 1024
    wait_for(lambda: [note["closed"] for note in simulator.requests()][:20] == ["client"] * 20)


def memory(simulator: Simulator) -> int:
    """Return the process's resident memory in bytes (proc_pid_statm(5), its second field)."""
    return int(Path(f"/proc/{simulator.pid}/statm").read_text().split()[1]) * 4096


def test_a_slow_reader_gets_every_word(simulator: Simulator) -> None:
    with opened(simulator, "groq", "demo@events-20000") as connection:
        time.sleep(0.2)
        data = connection.until(b"[DONE]\n\n\r\n0\r\n\r\n")
    assert spoken(b"".join(dechunked(data))) == "".join(words(20_000))


def test_one_reset_does_not_disturb_the_others(simulator: Simulator) -> None:
    with (
        opened(simulator, "openai", "demo@events-30@pace-5") as steady,
        opened(simulator, "openai", "demo@reset") as broken,
    ):
        assert broken.end() == "reset"
        assert b"[DONE]" in steady.until(b"[DONE]")


def test_a_reply_that_breaks_off_leaves_the_next_one_whole(simulator: Simulator) -> None:
    with opened(simulator, "openai", "demo@truncated-2") as connection:
        connection.through(END)
        connection.send(post(PATHS["openai"], question("demo@events-1")))
        assert b"[DONE]" in connection.until(END)
