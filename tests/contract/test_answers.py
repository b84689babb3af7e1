"""An answer, as every provider streams it in every client protocol."""

from collections.abc import Mapping

import pytest

from app.simulator import ANSWER, EMOJI, REASONING, words
from tests.client import Reply, chat
from tests.processes import Processes, Service

LENGTH = "[This answer is incomplete. It reached the limit of its length.]"


def text_of(reply: Reply) -> str:
    """Return an answer's text, whatever the protocol."""
    if reply.headers["Content-Type"].startswith("text/plain"):
        return reply.body.decode()
    return "".join(event["delta"] for event in reply.events() if isinstance(event, dict) and is_text(event))


def is_text(event: dict[str, object]) -> bool:
    return event["type"] == "text-delta"


def test_an_answer_arrives_whole(service: Service, provider: str, accept: str) -> None:
    reply = chat(service, provider, "demo", accept=accept)
    assert (reply.status, text_of(reply), reply.cut) == (200, ANSWER, False)


def test_text_has_the_headers_of_the_contract(service: Service, provider: str) -> None:
    headers = chat(service, provider, "demo").headers
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert headers["Transfer-Encoding"] == "chunked"
    assert headers["X-Accel-Buffering"] == "no"
    assert headers["Cache-Control"] == "no-store, no-transform"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert len(headers["X-Request-ID"]) >= 20
    assert "Content-Encoding" not in headers


def test_a_ui_stream_has_its_headers_and_frames(service: Service, provider: str) -> None:
    reply = chat(service, provider, "demo", accept="text/event-stream")
    assert reply.headers["Content-Type"] == "text/event-stream"
    assert reply.headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert reply.headers["Cache-Control"] == "no-store, no-transform"
    events = reply.events()
    assert events[:3] == [{"type": "start"}, {"type": "start-step"}, {"type": "text-start", "id": "1"}]
    assert all(event["type"] == "text-delta" for event in events[3:-4] if isinstance(event, dict))
    assert events[-4:-2] == [{"type": "text-end", "id": "1"}, {"type": "finish-step"}]
    finish, done = events[-2:]
    assert isinstance(finish, dict)
    assert finish["type"] == "finish"
    assert finish["messageMetadata"]["finishReason"] == "stop"
    assert done == "[DONE]"


@pytest.mark.parametrize("provider", ["openai", "groq", "mistral"])
def test_the_usage_travels_with_the_finish(service: Service, provider: str) -> None:
    finish = chat(service, provider, "demo", accept="text/event-stream").events()[-2]
    assert isinstance(finish, dict)
    assert finish["messageMetadata"]["usage"]["prompt_tokens"] == 17


@pytest.mark.parametrize("fault", ["@emoji", "@emoji@bytewise"])
def test_characters_split_over_events_and_segments_arrive_whole(
    service: Service, provider: str, accept: str, fault: str
) -> None:
    reply = chat(service, provider, f"demo{fault}", accept=accept)
    assert (text_of(reply), reply.cut) == (EMOJI, False)


@pytest.mark.parametrize("fault", ["@bytewise", "@crlf"])
def test_any_framing_gives_the_same_text(service: Service, provider: str, accept: str, fault: str) -> None:
    assert text_of(chat(service, provider, f"demo{fault}", accept=accept)) == ANSWER


def test_reasoning_is_told_apart_from_the_text(service: Service, provider: str) -> None:
    events = chat(service, provider, "demo@reasoning", accept="text/event-stream").events()
    thought = [event["delta"] for event in events if isinstance(event, dict) and event["type"] == "reasoning-delta"]
    assert "".join(thought) == REASONING
    kinds = [event["type"] for event in events if isinstance(event, dict) and event["type"].endswith(("start", "end"))]
    assert kinds == ["start", "reasoning-start", "reasoning-end", "text-start", "text-end"]


def test_text_leaves_reasoning_out(service: Service, provider: str) -> None:
    assert chat(service, provider, "demo@reasoning").body.decode() == ANSWER


def test_chunks_arrive_as_they_were_sent(service: Service, provider: str, accept: str) -> None:
    def is_paced() -> bool:
        reply = chat(service, provider, "demo@pace-60@events-8", accept=accept)
        assert text_of(reply) == "".join(words(8))
        return reply.is_spread(4, 7 * 0.06 * 0.8)

    assert any(is_paced() for _ in range(3)), "joined, or held back and sent at once"


@pytest.mark.parametrize("model", ["demo@late-1.5", "demo@slow-1.5"])
def test_headers_go_out_when_a_slow_thinker_is_waited_for(
    quick: Service, provider: str, accept: str, model: str
) -> None:
    """The service commits after half a second here; the provider begins after one and a half."""
    reply = chat(quick, provider, model, accept=accept)
    assert (reply.status, text_of(reply), reply.cut) == (200, ANSWER, False)
    assert (b": still waiting" in reply.body) == bool(accept)


def test_an_end_marker_may_be_missing(service: Service, provider: str, accept: str) -> None:
    reply = chat(service, provider, "demo@nodone", accept=accept)
    assert (text_of(reply), reply.cut) == (ANSWER, False)


def test_the_output_limit_is_a_good_end_with_its_reason(service: Service, provider: str) -> None:
    finish = chat(service, provider, "demo@length", accept="text/event-stream").events()[-2]
    assert isinstance(finish, dict)
    assert finish["messageMetadata"]["finishReason"] == "length"
    assert chat(service, provider, "demo@length").body.decode() == f"{ANSWER}\n\n{LENGTH}"


def test_text_says_nothing_of_a_limit_that_the_client_set(service: Service, provider: str) -> None:
    assert chat(service, provider, "demo@length", maxTokens=500).body.decode() == ANSWER


def test_text_says_what_a_content_filter_stopped(service: Service, provider: str) -> None:
    reply = chat(service, provider, "demo@filtered", maxTokens=500)
    assert (reply.status, reply.cut) == (200, False)
    assert reply.body.decode() == f"{ANSWER}\n\n[This answer is incomplete. A content filter stopped it.]"


def test_text_says_nothing_where_the_operator_wants_it_so(
    processes: Processes, environment: Mapping[str, str], provider: str
) -> None:
    service = processes.service({**environment, "TEXT_NOTES": "no"})
    for model, cut in {"demo@length": False, "demo@filtered": False, "demo@cut-3": True}.items():
        reply = chat(service, provider, model)
        assert (reply.cut, reply.body.decode()) == (cut, "".join(words(3)) if cut else ANSWER)
