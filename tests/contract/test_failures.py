"""Every row of the contract's error table, as every provider causes it."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from app.failure import Code
from app.providers import PROVIDERS
from tests import raw
from tests.client import Reply, ask, chat
from tests.processes import Processes, Service, Simulator, wait_for


def assert_failure(reply: Reply, status: int, code: str, message: str) -> None:
    """Check an error answer: JSON with these three, never to be cached, and a message that matches."""
    body = reply.json()
    assert (reply.status, body["code"]) == (status, code), body
    assert re.fullmatch(message, body["message"]), body["message"]
    assert set(body) == {"message", "code", "requestId"}
    assert body["requestId"] == reply.headers["X-Request-ID"]
    assert reply.headers["Cache-Control"] == "no-store"
    assert body["code"] in set(Code)


def test_a_missing_key_is_named(processes: Processes, provider: str, accept: str) -> None:
    reply = chat(processes.service({}), provider, "gpt-3.5-turbo", accept=accept)
    label = re.escape(PROVIDERS[provider].label)
    assert_failure(reply, 400, "missing_key", f"{label} API Key not found\\. Please set it in your profile settings\\.")


def test_a_wrong_key_is_named(service_with_wrong_key: Service, provider: str, accept: str) -> None:
    reply = chat(service_with_wrong_key, provider, "demo", accept=accept)
    label = re.escape(PROVIDERS[provider].label)
    assert_failure(
        reply, 401, "provider_auth", f"{label} API Key is incorrect\\. Whoever runs this service has to fix it\\."
    )


REFUSALS = [
    ("demo@context", 400, "provider_bad_request"),
    ("demo@filter-prompt", 400, "content_filter"),
    ("demo@quota", 429, "provider_quota"),
    ("demo@status-408", 408, "provider_bad_request"),
    ("demo@status-504", 504, "provider_error"),
    ("demo@status-403", 403, "provider_denied"),
    ("demo@status-409", 409, "provider_bad_request"),
    ("demo@status-413", 413, "provider_too_large"),
    ("demo@status-422", 422, "provider_bad_request"),
    ("demo@status-429", 429, "provider_rate_limited"),
    ("demo@status-500", 500, "provider_error"),
    ("demo@status-502", 502, "provider_error"),
    ("demo@status-503", 503, "provider_overloaded"),
    ("demo@status-529", 529, "provider_overloaded"),
]


@pytest.mark.parametrize(("model", "status", "code"), REFUSALS)
def test_a_provider_s_refusal_keeps_its_status_and_its_words(
    service: Service, provider: str, accept: str, model: str, status: int, code: str
) -> None:
    their_words = r"(?!.* answered with status)[^<>{}]{5,500}"
    assert_failure(chat(service, provider, model, accept=accept), status, code, their_words)


def test_an_unknown_model_is_the_provider_s_to_refuse(service: Service, provider: str) -> None:
    reply = chat(service, provider, "unknown-model")
    assert_failure(reply, 400 if provider == "mistral" else 404, "provider_bad_request", r".*(model|deployment).*")


def test_retry_after_is_passed_on(service: Service, provider: str, accept: str) -> None:
    reply = chat(service, provider, "demo@status-429@retry-7", accept=accept)
    assert_failure(reply, 429, "provider_rate_limited", r".{10,}")
    assert reply.headers["Retry-After"] == "7"


@pytest.mark.parametrize("model", ["demo@status-503@html", "demo@status-500@empty"])
def test_html_and_nothing_become_a_sentence(service: Service, provider: str, model: str) -> None:
    status = int(model[12:15])
    name = re.escape(answering(provider))
    code = "provider_overloaded" if status == 503 else "provider_error"
    assert_failure(chat(service, provider, model), status, code, f"{name} answered with status {status}\\.")


def answering(provider: str) -> str:
    """Return who answers, as sentences call it: where a base URL is set, its host."""
    return PROVIDERS[provider].label if provider == "azure" else "The server at 127.0.0.1"


def test_a_key_in_the_provider_s_words_is_not_passed_on(
    service: Service, provider: str, environment: Mapping[str, str]
) -> None:
    reply = chat(service, provider, "demo@echo-key")
    assert_failure(reply, 400, "provider_bad_request", r".*\[key\].*")
    assert environment[PROVIDERS[provider].key.variable].encode() not in reply.body


def test_a_redirect_is_refused_and_not_followed(
    service: Service, simulator: Simulator, provider: str, marker: str
) -> None:
    reply = chat(service, provider, "demo@redirect", messages=[{"role": "user", "content": marker}])
    assert_failure(reply, 500, "up_redirect", r".*redirect.*")
    assert simulator.received(marker)["answered"] == 307


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("demo@cut-0", "up_truncated"),
        ("demo@reset-0", "up_reset"),
        ("demo@truncated-0", "up_truncated"),
        ("demo@badjson-0", "up_bad_data"),
        ("demo@html", "up_empty"),
        ("demo@empty", "up_empty"),
        ("demo@error-0", "provider_error"),
    ],
)
def test_a_failure_before_the_first_piece_has_a_status(
    service: Service, provider: str, accept: str, model: str, code: str
) -> None:
    assert_failure(chat(service, provider, model, accept=accept), 500, code, r"[A-Z].{10,}")


def test_a_provider_that_cannot_be_reached_is_a_sentence(
    processes: Processes, environment: Mapping[str, str], simulator: Simulator, provider: str, accept: str
) -> None:
    nowhere = {name: value.replace(simulator.url, "http://127.0.0.1:9") for name, value in environment.items()}
    reply = chat(processes.service(nowhere), provider, "demo", accept=accept)
    assert_failure(reply, 500, "up_connect", r"The provider could not be reached\.")


def test_an_answer_that_the_filter_stops_before_its_first_word_is_a_refusal(service: Service, provider: str) -> None:
    reply = chat(service, provider, "demo@events-0@filtered")
    assert_failure(reply, 400, "content_filter", r".*'s content filter stopped the answer\.")


def test_a_cut_shows_over_http_1_0_too(service: Service, provider: str) -> None:
    request = raw.chat("demo@cut-3", raw.new_id(), version="1.0", provider=provider)
    with raw.connect(service.port, request) as client:
        assert client.end() == "reset"


BROKEN = ["demo@cut-3", "demo@reset-3", "demo@truncated-3", "demo@error-3", "demo@badjson-3", "demo@badutf8-3"]


@pytest.mark.parametrize("model", BROKEN)
def test_text_that_breaks_off_is_cut(service: Service, provider: str, model: str) -> None:
    reply = chat(service, provider, model)
    assert (reply.status, reply.cut) == (200, True)
    assert re.fullmatch(r"(A chat answer\n\n)?\[This answer is incomplete\. [A-Z].{10,}\]", reply.body.decode())


@pytest.mark.parametrize("model", BROKEN)
def test_a_ui_stream_that_breaks_off_says_so_and_never_finishes(service: Service, provider: str, model: str) -> None:
    reply = chat(service, provider, model, accept="text/event-stream")
    *_, detail, error = reply.events()
    assert isinstance(detail, dict)
    assert isinstance(error, dict)
    assert (detail["type"], error["type"]) == ("data-error", "error")
    assert detail["data"]["code"] in set(Code)
    assert detail["data"]["message"] == error["errorText"]
    assert b'"finish' not in reply.body
    assert b"[DONE]" not in reply.body


@pytest.mark.parametrize("model", ["demo@hang", "demo@silent", "demo@comments"])
def test_a_provider_that_never_begins_is_given_up(impatient: Service, provider: str, accept: str, model: str) -> None:
    assert_failure(chat(impatient, provider, model, accept=accept), 500, "up_timeout", r".*too long.*")


def test_a_provider_that_pauses_too_long_is_given_up(impatient: Service, provider: str) -> None:
    cut = chat(impatient, provider, "demo@stall-3")
    assert cut.cut
    assert re.fullmatch(r"A chat answer\n\n\[This answer is incomplete\. .+ took too long.*\]", cut.body.decode())
    reply = chat(impatient, provider, "demo@stall-3", accept="text/event-stream")
    assert b'"code":"up_idle"' in reply.body


def test_a_refusal_after_the_headers_is_told_in_the_stream(quick: Service, provider: str) -> None:
    reply = chat(quick, provider, "demo@late-1.5@status-429", accept="text/event-stream")
    assert reply.status == 200
    assert b'"code":"provider_rate_limited"' in reply.body
    assert b"[DONE]" not in reply.body
    cut = chat(quick, provider, "demo@late-1.5@status-429")
    assert cut.cut
    assert re.fullmatch(r"\[This answer is incomplete\. .*rate limit.*\]", cut.body.decode(), re.IGNORECASE)


def test_nobody_is_served_through_a_proxy(service: Service, provider: str, accept: str) -> None:
    reply = ask(service, f"/api/chat/{provider}", b"{}", accept=accept, x_forwarded_for="203.0.113.7")
    assert_failure(
        reply, 401, "unauth", r"User not found\. A proxy forwarded this request.*token create.*AUTH_JWKS_URL.*"
    )
    assert reply.headers["WWW-Authenticate"] == "Bearer"


def test_the_provider_s_connection_closes_when_the_reader_leaves(
    service: Service, simulator: Simulator, provider: str, accept: str
) -> None:
    for model in ("demo@hang", "demo@silent", "demo@stall-3", "demo@endless"):
        before = simulator.requests()[-1]["id"]
        request = raw.chat(model, raw.new_id(), f"Accept: {accept or '*/*'}", provider=provider)
        with raw.connect(service.port, request) as client:
            number = wait_for(partial(newest, simulator, before))["id"]
            if model in ("demo@stall-3", "demo@endless"):
                assert client.take(), "in mid-answer"
        assert wait_for(partial(closed, simulator, number), 2) == "client"


def newest(simulator: Simulator, before: int) -> dict[str, Any] | None:
    """Return the newest request since the one numbered `before`."""
    return next((seen for seen in reversed(simulator.requests()) if seen["id"] > before), None)


def closed(simulator: Simulator, number: int) -> str | None:
    """Return who closed the connection of a request before its answer was complete."""
    found: str | None = next(seen["closed"] for seen in simulator.requests() if seen["id"] == number)
    return found
