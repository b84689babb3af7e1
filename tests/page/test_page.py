"""The page, driven in Chromium against the running service with the simulator behind it."""

import json
import re
import struct
import zlib
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from app.simulator import ANSWER, words
from tests import client
from tests.page.chat import CHAT, answer, ask, body, sent
from tests.page.tab import complaints, opened
from tests.processes import Service

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
ASSETS = ("page.js", "panel.js", "providers.js", "service.js", "setting.js", "stream.js", "page.css", "panel.css")
WRONG_KEY = "OpenAI API Key is incorrect. Whoever runs this service has to fix it."


def png() -> bytes:
    """A red square of eight by eight pixels."""
    rows = (b"\0" + b"\xff\0\0" * 8) * 8
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    packed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def test_an_answer_grows_in_steps_to_what_the_provider_said(page: Page) -> None:
    ask(page, "What is a sluice?", "gpt-4o@pace-30")
    assert answer(page, "done") == ANSWER
    steps = [text for text in dict.fromkeys(page.evaluate("seen")) if text]
    assert len(steps) >= 5
    assert all(ANSWER.startswith(step) for step in steps)
    expect(page.locator("#message")).to_have_value("")
    expect(page.locator("#error")).to_be_hidden()


def test_stop_keeps_the_part_and_frees_the_form(page: Page) -> None:
    ask(page, "Go on for ever.", "gpt-4o@endless")
    expect(page.locator(".answer")).to_have_text(re.compile(r"\w+ \w+ \w+"))
    page.click("#stop")
    part = answer(page, "stopped")
    assert part
    expect(page.get_by_text("Stopped.")).to_be_visible()
    expect(page.locator("#message")).to_be_focused()
    following = sent(page, "And now?")
    assert answer(page, "done") == ANSWER
    assert following["messages"][1] == {"role": "assistant", "content": part}


def test_stop_before_the_first_word_gives_the_text_back(page: Page) -> None:
    ask(page, "Are you there?", "gpt-4o@silent")
    page.click("#stop")
    expect(page.locator("#message")).to_have_value("Are you there?")
    expect(page.locator(".answer")).to_have_count(0)
    expect(page.locator("#error")).to_be_hidden()
    assert len(sent(page, "And now?")["messages"]) == 1


def test_a_wrong_key_shows_the_sentence_that_says_what_to_do(browser: Browser, service_with_wrong_key: Service) -> None:
    with opened(browser, service_with_wrong_key) as page:
        ask(page, "Hello?")
        expect(page.get_by_role("alert")).to_have_text(WRONG_KEY)
        expect(page.get_by_role("alert")).to_be_visible()
        expect(page.get_by_role("button", name="Open settings")).to_have_count(0)


LOST = "The connection was lost before the answer's end. Please try again."
CUTS = {
    "cut-6": "The provider's answer was cut off before its end.",
    "error-6": "The server had an error while processing your request. Sorry about that!",
}


@pytest.mark.parametrize("fault", CUTS)
def test_a_cut_answer_is_marked_with_why_and_not_sent_along(page: Page, fault: str) -> None:
    ask(page, "Tell me.", f"gpt-4o@pace-100@{fault}")
    assert answer(page, "cut") == "".join(words(6))
    expect(page.locator(".note")).to_have_text(f"Cut off. {CUTS[fault]}")
    expect(page.locator("#error")).to_be_hidden()
    expect(page.locator("#message")).to_have_value("Tell me.")
    assert sent(page, "Again.")["messages"] == [{"role": "user", "content": "Again."}]


DELTA = {"type": "text-delta", "id": "1", "delta": "Well"}


def stream(*events: dict[str, Any]) -> str:
    return "".join(f"data: {json.dumps(event, ensure_ascii=False)}\n\n" for event in events)


def end(reason: str) -> dict[str, Any]:
    return {"type": "finish", "messageMetadata": {"finishReason": reason}}


def told(page: Page, *events: dict[str, Any], **headers: str) -> None:
    """Ask, and have these events for an answer."""
    streamed = {"content_type": "text/event-stream", "headers": headers, "body": stream(*events)}
    page.route(CHAT, lambda route: route.fulfill(status=200, **streamed), times=1)
    ask(page, "Tell me.")


def test_an_answer_without_any_end_counts_as_cut(page: Page) -> None:
    told(page, DELTA)
    assert answer(page, "cut") == "Well"
    expect(page.locator(".note")).to_have_text(f"Cut off. {LOST}")


def test_a_lost_connection_is_not_a_service_out_of_reach(page: Page) -> None:
    page.evaluate("""(text) => {
      const pull = (stream) => (text ? stream.enqueue(new TextEncoder().encode(text)) : stream.error(), (text = ""));
      window.fetch = async () => new Response(new ReadableStream({ pull }));
    }""", stream(DELTA))  # fmt: skip
    ask(page, "Tell me.")
    assert answer(page, "cut") == "Well"
    expect(page.locator(".note")).to_have_text(f"Cut off. {LOST}")


LENGTH = "The answer reached the limit of its length."
FILTER = "A content filter stopped the answer."


@pytest.mark.parametrize(("fault", "why"), [("length", LENGTH), ("filtered", FILTER)])
def test_a_short_answer_is_kept_with_the_reason_beside_it(page: Page, fault: str, why: str) -> None:
    ask(page, "Tell me.", f"gpt-4o@{fault}")
    assert answer(page, "short") == ANSWER
    expect(page.locator(".note")).to_have_text(f"Incomplete. {why}")
    expect(page.locator("#error")).to_be_hidden()
    expect(page.locator("#message")).to_have_value("")
    assert sent(page, "Go on.")["messages"][1] == {"role": "assistant", "content": ANSWER}


@pytest.mark.parametrize(("reason", "why"), [("length", LENGTH), ("content_filter", FILTER), ("eos", "")])
def test_what_is_said_of_an_end_is_chosen_by_its_reason(page: Page, reason: str, why: str) -> None:
    told(page, DELTA, end(reason))
    answer(page, "short" if why else "done")
    expect(page.locator(".note")).to_have_text(f"Incomplete. {why}" if why else "")


@pytest.mark.parametrize(("reason", "sentence"), [("length", LENGTH), ("stop", "The model answered with nothing.")])
def test_of_an_empty_answer_the_reason_is_said(page: Page, reason: str, sentence: str) -> None:
    told(page, end(reason))
    expect(page.get_by_role("alert")).to_contain_text(sentence)
    expect(page.locator(".answer")).to_have_count(0)
    expect(page.locator("#message")).to_have_value("Tell me.")


WRONG = {"message": "OpenAI API Key is incorrect.", "code": "provider_auth"}
FAILED = ({"type": "data-error", "data": WRONG}, {"type": "error", "errorText": WRONG["message"]})


@pytest.mark.parametrize(("source", "offered"), [("environment", 0), ("profile", 1)])
def test_what_only_the_operator_can_mend_offers_no_settings(page: Page, source: str, offered: int) -> None:
    told(page, *FAILED, **{"X-Key-Source": source})
    expect(page.get_by_role("alert")).to_have_text(WRONG["message"])
    expect(page.get_by_role("button", name="Open settings")).to_have_count(offered)
    refused = {"status": 401, "json": WRONG, "headers": {"X-Key-Source": source}}
    page.route(CHAT, lambda route: route.fulfill(**refused), times=1)
    page.reload()
    ask(page, "Tell me.")
    expect(page.get_by_role("alert")).to_have_text(WRONG["message"])
    expect(page.get_by_role("button", name="Open settings")).to_have_count(offered)


@pytest.mark.parametrize(("found", "offered"), [("operators", 0), ("keyless", 1)])
def test_a_key_that_only_the_operator_can_set_offers_no_settings(
    request: pytest.FixtureRequest, browser: Browser, found: str, offered: int
) -> None:
    with opened(browser, request.getfixturevalue(found)) as page:
        page.wait_for_load_state("networkidle")  # it knows the policy
        page.select_option("#provider", "openai")
        ask(page, "Tell me.")
        expect(page.get_by_role("alert")).to_contain_text("OpenAI API Key not found.")
        expect(page.get_by_role("button", name="Open settings")).to_have_count(offered)


def test_who_is_refused_for_a_proxy_is_told_what_to_set(page: Page) -> None:
    page.set_extra_http_headers({"X-Forwarded-For": "203.0.113.7"})
    ask(page, "Tell me.")
    expect(page.get_by_role("alert")).to_contain_text("A proxy forwarded this request")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def test_a_refusal_shows_its_sentence_and_gives_the_text_back(page: Page) -> None:
    with page.expect_response(CHAT) as response:
        ask(page, "A question of\ntwo lines", "gpt-4o@status-429")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_text(response.value.json()["message"])
    assert response.value.status == 429
    expect(page.locator("#message")).to_have_value("A question of\ntwo lines")
    expect(page.locator(".answer")).to_have_count(0)
    expect(page.locator("#send")).to_be_visible()


def test_an_error_that_is_not_json_is_told_by_its_status(page: Page) -> None:
    page.route(CHAT, lambda route: route.fulfill(status=503, content_type="text/html", body="<h1>Down</h1>"))
    ask(page, "Hello?")
    expect(page.get_by_role("alert")).to_have_text("The service answered with status 503.")
    expect(page.locator("#message")).to_have_value("Hello?")


def test_a_service_out_of_reach_is_said_and_gives_the_text_back(page: Page) -> None:
    page.route(CHAT, lambda route: route.abort("connectionrefused"))
    ask(page, "Hello?")
    expect(page.get_by_role("alert")).to_have_text(re.compile("could not be reached"))
    expect(page.locator("#message")).to_have_value("Hello?")


def test_a_question_comes_back_above_what_is_written(page: Page) -> None:
    ask(page, "First.", "gpt-4o@silent")
    page.fill("#message", "Second.")
    page.click("#stop")
    expect(page.locator("#message")).to_have_value("First.\n\nSecond.")


def test_the_history_of_two_exchanges_is_sent_along(page: Page) -> None:
    first = sent(page, "One?")
    answer(page, "done")
    second = sent(page, "Two?")
    expect(page.locator(".answer[data-state=done]")).to_have_count(2, timeout=20_000)
    third = sent(page, "Three?")
    assert first == {"chatSettings": {"model": "gpt-4o"}, "messages": [{"role": "user", "content": "One?"}]}
    assert [message["content"] for message in second["messages"]] == ["One?", ANSWER, "Two?"]
    assert [message["content"] for message in third["messages"]] == ["One?", ANSWER, "Two?", ANSWER, "Three?"]
    assert [message["role"] for message in third["messages"]] == ["user", "assistant", "user", "assistant", "user"]


def test_the_provider_and_the_temperature_are_the_chosen_ones(page: Page) -> None:
    page.select_option("#provider", "mistral")
    page.fill("#temperature", "0.3")
    page.fill("#message", "Hello?")
    with page.expect_request("**/api/chat/mistral") as request:
        page.click("#send")
    assert body(request.value)["chatSettings"] == {"model": "mistral-small-latest", "temperature": 0.3}


def test_an_attached_image_is_sent_as_a_part_of_the_message(page: Page) -> None:
    page.set_input_files("#image", {"name": "red.png", "mimeType": "image/png", "buffer": png()})
    expect(page.locator("#preview")).to_be_visible()
    content = sent(page, "Which colour?")["messages"][0]["content"]
    assert content[0] == {"type": "text", "text": "Which colour?"}
    assert content[1]["type"] == "image_url"
    assert content[1]["image_url"]["url"].startswith("data:image/jpeg;base64,")
    expect(page.locator("#preview")).to_be_hidden()
    expect(page.locator(".question img")).to_be_visible()
    assert answer(page, "done") == ANSWER


def test_a_file_that_is_no_image_is_refused_with_a_sentence(page: Page) -> None:
    page.set_input_files("#image", {"name": "red.png", "mimeType": "image/png", "buffer": b"not an image"})
    expect(page.get_by_role("alert")).to_have_text(re.compile("could not be read as an image"))
    expect(page.locator("#preview")).to_be_hidden()


def test_shift_and_enter_starts_a_new_line_and_enter_sends(page: Page) -> None:
    page.fill("#model", "gpt-4o")
    page.focus("#message")
    page.keyboard.type("One")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("Two")
    with page.expect_request(CHAT) as request:
        page.keyboard.press("Enter")
    assert body(request.value)["messages"][0]["content"] == "One\nTwo"


AT_END = "log.scrollHeight - log.scrollTop - log.clientHeight < 4"


def test_the_log_follows_the_answer_until_the_reader_scrolls_up(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 480})
    ask(page, "Hello?")
    answer(page, "done")
    ask(page, "Go on for ever.", "gpt-4o@endless")
    expect(page.locator(".answer").last).to_have_text(re.compile(r"(\S+ ){40}"))
    log = page.evaluate_handle("document.querySelector('#log')")
    assert log.evaluate(f"log => {AT_END}")
    page.hover("#log")
    page.mouse.wheel(0, -60)
    page.wait_for_function(f"log => !({AT_END})", arg=log)
    top, grown = log.evaluate("log => [log.scrollTop, log.scrollHeight]")
    page.wait_for_function("([log, grown]) => log.scrollHeight > grown + 60", arg=[log, grown])
    assert log.evaluate("log => log.scrollTop") == top
    page.click("#stop")


def test_a_character_that_arrives_in_two_reads_is_one_character(page: Page) -> None:
    page.evaluate("""(text) => {
      const bytes = new TextEncoder().encode(text);
      const start = (stream) => {
        bytes.forEach((byte) => stream.enqueue(Uint8Array.of(byte)));
        stream.close();
      };
      window.fetch = async () => new Response(new ReadableStream({ start }));
    }""", stream({**DELTA, "delta": "é 漢字 🚀"}, end("stop")))  # fmt: skip
    ask(page, "Hello?")
    assert answer(page, "done") == "é 漢字 🚀"


def test_on_a_small_phone_only_the_log_scrolls(page: Page) -> None:
    page.set_viewport_size({"width": 320, "height": 560})
    page.route(CHAT, lambda route: route.fulfill(status=400, json={"message": "A long sentence. " * 10}))
    ask(page, "A question\n" * 30 + "unbreakable" * 30)
    expect(page.get_by_role("alert")).to_be_visible()
    root = page.evaluate_handle("document.documentElement")
    assert root.evaluate("root => [root.scrollWidth, root.scrollHeight]") == [320, 560]
    expect(page.locator("#send")).to_be_in_viewport(ratio=1)


def test_markup_in_a_question_or_an_answer_is_shown_as_text(page: Page) -> None:
    markup = "<img src=x onerror=alert(1)><b>bold</b>"
    failure = {"type": "data-error", "data": {"message": markup, "code": "provider_error"}}
    told(page, {**DELTA, "delta": markup}, failure)
    assert answer(page, "cut") == markup
    expect(page.locator(".note")).to_have_text(f"Cut off. {markup}")
    ask(page, markup)
    assert answer(page, "done") == ANSWER
    assert page.locator(".question").last.text_content() == markup
    expect(page.locator("article img, article b")).to_have_count(0)


def test_nothing_is_complained_of_and_nothing_leaves_the_origin(page: Page, service: Service) -> None:
    complained = complaints(page)
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    page.reload()
    page.set_input_files("#image", {"name": "red.png", "mimeType": "image/png", "buffer": png()})
    expect(page.locator("#preview")).to_be_visible()
    ask(page, "Hello?")
    assert answer(page, "done") == ANSWER
    assert complained == []
    elsewhere = [address for address in addresses if not address.startswith(("data:", service.url.rstrip("/") + "/"))]
    assert elsewhere == []
    assert any(address.endswith("/static/page.js") for address in addresses)


@pytest.mark.parametrize("path", ["/", *(f"/static/{name}" for name in ASSETS)])
def test_each_file_of_the_page_forbids_what_is_not_its_own(service: Service, path: str) -> None:
    reply = client.ask(service, path, None, method="GET")
    assert reply.status == 200
    assert reply.headers["content-security-policy"] == CSP
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("name", ["index.html", "../page.py", "%2e%2e/page.py", "..%2fpage.py", "other.js"])
def test_only_the_scripts_and_the_styles_are_served(service: Service, name: str) -> None:
    assert client.ask(service, f"/static/{name}", None, method="GET").status == 404


def test_every_control_has_a_name_that_can_be_read_out(page: Page) -> None:
    for role, name in (
        *(("combobox", "Provider"), ("combobox", "Model"), ("spinbutton", "Temperature")),
        *(("textbox", "Message"), ("button", "Send"), ("log", "Conversation"), ("button", "Settings")),
    ):
        expect(page.get_by_role(role, name=name, exact=True)).to_be_visible()  # type: ignore[arg-type]
    expect(page.get_by_label("Attach image")).to_have_attribute("type", "file")
    expect(page.locator("#message")).to_be_focused()
