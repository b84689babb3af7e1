"""What a client may send -> a chat, or which field is wrong and why."""

from typing import Any

import pytest

from app.chat import Chat
from app.failure import Failure
from app.protocols.schemas import MAX_MESSAGES, MAX_PARTS, MAX_TOKENS, read

PICTURE = "data:image/png;base64,iVBORw0KGgo="
HELLO = [{"role": "user", "content": "Hello?"}]
MODEL = {"model": "m"}
INFINITY = float("inf")


def load(settings: object = MODEL, messages: object = HELLO, **more: object) -> Chat:
    return read({"chatSettings": settings, "messages": messages, **more})


def complaint(body: Any) -> str:  # noqa: ANN401 - anything may be sent
    """Return what a client is told."""
    with pytest.raises(Failure) as failure:
        read(body)
    assert (failure.value.status, failure.value.code) == (400, "bad_body")
    return failure.value.message


# Settings.


def test_a_chat_has_all_that_its_answer_depends_on() -> None:
    assert load() == Chat("m", HELLO, None, None)
    assert load({"model": "m", "temperature": 0.5, "maxTokens": 7}) == Chat("m", HELLO, 0.5, 7)
    assert load({"model": "m", "temperature": None, "maxTokens": None}) == Chat("m", HELLO, None, None)


def test_what_else_frontends_send_is_ignored() -> None:
    settings = {
        "model": "m",
        "temperature": 0.5,
        "prompt": "Be kind.",
        "contextLength": 4096,
        "includeProfileContext": True,
        "includeWorkspaceInstructions": False,
        "embeddingsProvider": "openai",
        "max_tokens": "x",
        "\ud800": "\ud800",
    }
    more = {
        "customModelId": "x",
        "id": 1,
        "trigger": "submit-message",
        "messageId": None,
        "chatId": [],
        "stream": False,
    }
    assert load(settings, **more) == Chat("m", HELLO, 0.5, None)


@pytest.mark.parametrize(
    "model",
    [
        "gpt-4o",
        "openai/gpt-oss-20b",
        "llama3.1:8b",
        "ft:gpt-4o:org::id",
        "accounts/f/models/x",
        "a@b",
        "demo@status-429",
        "A_b-1.2",
        "m" * 200,
    ],
)
def test_the_name_of_a_model_is_taken_as_it_is(model: str) -> None:
    assert load({"model": model}).model == model


@pytest.mark.parametrize("temperature", [0, 0.0, 1, 2, 0.7, 1e-9, 2.0])
def test_a_temperature_may_be_any_number_from_0_to_2(temperature: float) -> None:
    assert load({"model": "m", "temperature": temperature}).temperature == temperature


@pytest.mark.parametrize("most", [1, 4096, MAX_TOKENS])
def test_a_limit_may_be_any_whole_number(most: int) -> None:
    assert load({"model": "m", "maxTokens": most}).max_tokens == most


NOT_A_MODEL = "Not a model's name."
RANGE = "Must be from 0 to 2."
MISSING = "Missing data for required field."

NO_NAMES = ["", " ", "m\n", "m\r\nX: y", "m\0", "\ud800", "m" * 201, "m\u2028"]
NO_NUMBERS: list[object] = ["0.5", "", True, False, [], {}, [0.5]]
NO_WHOLE_NUMBERS: list[object] = ["7", "", True, False, 7.5, INFINITY, float("nan"), [], {}, [7]]
FROM_TO = f"Must be greater than or equal to 1 and less than or equal to {MAX_TOKENS}."

BAD_SETTINGS: list[tuple[object, str]] = [
    (None, "chatSettings: Field may not be null."),
    ([], "chatSettings: Invalid input type."),
    ("m", "chatSettings: Invalid input type."),
    (7, "chatSettings: Invalid input type."),
    ({}, f"chatSettings.model: {MISSING}"),
    ({"model": None}, "chatSettings.model: Field may not be null."),
    ({"model": 7}, "chatSettings.model: Not a string."),
    ({"model": ["m"]}, "chatSettings.model: Not a string."),
    ({"model": {}}, "chatSettings.model: Not a string."),
    ({"model": True}, "chatSettings.model: Not a string."),
    *(({"model": model}, f"chatSettings.model: {NOT_A_MODEL}") for model in NO_NAMES),
    *(({"model": "m", "temperature": value}, "chatSettings.temperature: Not a number.") for value in NO_NUMBERS),
    *(
        ({"model": "m", "temperature": value}, f"chatSettings.temperature: {RANGE}")
        for value in (-0.1, 2.1, 3, -1, INFINITY, -INFINITY, 10**400)
    ),
    *(
        ({"model": "m", "maxTokens": value}, "chatSettings.maxTokens: Not a valid integer.")
        for value in NO_WHOLE_NUMBERS
    ),
    *(
        ({"model": "m", "maxTokens": value}, f"chatSettings.maxTokens: {FROM_TO}")
        for value in (0, -1, MAX_TOKENS + 1, 10**400)
    ),
]


@pytest.mark.parametrize(("settings", "told"), BAD_SETTINGS, ids=lambda value: repr(value)[:60])
def test_a_setting_that_is_wrong_is_named(settings: object, told: str) -> None:
    assert complaint({"chatSettings": settings, "messages": HELLO}) == told


# Messages.


def part(**members: object) -> list[dict[str, object]]:
    """Write a message whose content is one part."""
    return [{"role": "user", "content": [members]}]


def ui_part(**members: object) -> list[dict[str, object]]:
    """Write a message of the AI SDK that has one part."""
    return [{"role": "user", "parts": [members]}]


ATTACHMENT = "messages[0].experimental_attachments[0]"


def attached(**members: object) -> list[dict[str, object]]:
    """Write a message of the AI SDK's version 4 with one attachment."""
    return [{"role": "user", "content": "a", "experimental_attachments": [members]}]


PARTS = [{"type": "text", "text": "Hi"}, {"type": "image_url", "image_url": {"url": PICTURE}}]

IMAGE_PART = {"type": "image_url", "image_url": {"url": PICTURE}}
WEB_IMAGE = {"type": "image_url", "image_url": {"url": "https://a.test/b.png"}}
PICTURE_FILE = {"type": "file", "mediaType": "image/png", "url": PICTURE}
ATTACHED = {
    "experimental_attachments": [
        {"name": "a.png", "contentType": "image/png", "url": PICTURE},
        {"url": PICTURE},
        {"contentType": "image/png", "url": "https://a.test/b.png"},
    ]
}
EMPTY: list[Any] = [None, "", " \n", [], [{"type": "text", "text": ""}], [{"type": "text", "text": None}]]
NO_WORDS = [{"type": "step-start"}, {"type": "reasoning", "text": "Hm"}, {"type": "tool-x", "toolCallId": "t"}]
UNSAID: list[dict[str, Any]] = [
    {"type": "reasoning", "text": "Hm"},
    {"type": "thinking", "thinking": "Hm", "signature": "x"},
    {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]},
    {"type": "redacted_thinking", "data": "x"},
    {"type": "tool_use", "id": "t", "name": "x", "input": {}},
    {"type": "tool-call", "toolCallId": "t"},
]
OUTPUT_TEXT = {"type": "output_text", "text": "A", "annotations": []}
SILENT: list[dict[str, Any]] = [
    {},
    *({"content": value} for value in EMPTY),
    *({"content": value, "tool_calls": [{"id": "t", "type": "function"}]} for value in (None, "")),
    *({"content": value, "parts": NO_WORDS} for value in EMPTY[:4]),
    *({"parts": parts} for parts in ([], NO_WORDS, [{"type": "text", "text": " "}], [PICTURE_FILE])),
    {"content": [IMAGE_PART]},
    {"content": UNSAID},
    {"content": "", **ATTACHED},
]
"""Answers without text: stopped before their first word, or all thoughts, calls of tools and pictures."""

GOOD: dict[str, tuple[object, list[dict[str, Any]]]] = {
    "text": (HELLO, HELLO),
    "every role": (
        [{"role": role, "content": "a"} for role in ("system", "developer", "user", "assistant")],
        [{"role": role, "content": "a"} for role in ("system", "developer", "user", "assistant")],
    ),
    "no text": ([{"role": "user", "content": ""}], [{"role": "user", "content": ""}]),
    "characters of every kind": (
        [{"role": "user", "content": "é😀\u2028\r\n\ufeff\x1b"}],
        [{"role": "user", "content": "é😀\u2028\r\n\ufeff\x1b"}],
    ),
    "other keys": (
        [{"role": "user", "content": "a", "id": 1, "name": "Ada", "tool_calls": [], "\ud800": "\ud800"}],
        [{"role": "user", "content": "a"}],
    ),
    "parts": ([{"role": "user", "content": PARTS}], [{"role": "user", "content": PARTS}]),
    "other keys of parts": (
        [{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]}],
        [{"role": "user", "content": [{"type": "text", "text": "a"}]}],
    ),
    "a detail": (
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PICTURE, "detail": "low", "x": 1}}]}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PICTURE, "detail": "low"}}]}],
    ),
    "a detail that is none": (
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PICTURE, "detail": ["low"]}}]}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PICTURE}}]}],
    ),
    "Mistral's bare address": (
        [{"role": "user", "content": [{"type": "image_url", "image_url": "https://a.test/b.png"}]}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.test/b.png"}}]}],
    ),
    "useChat": (
        [
            {
                "id": "msg-1",
                "role": "user",
                "metadata": {"a": 1},
                "parts": [
                    {"type": "text", "text": "What is "},
                    {"type": "text", "text": "this?", "state": "done"},
                    {"type": "file", "mediaType": "image/png", "url": PICTURE, "filename": "a.png"},
                ],
            },
            {
                "id": "msg-2",
                "role": "assistant",
                "parts": [
                    {"type": "step-start"},
                    {"type": "reasoning", "text": "Hm", "state": "done"},
                    {"type": "source-url", "sourceId": "s", "url": "https://a.test/"},
                    {"type": "data-error", "data": {}},
                    {"type": "tool-x", "toolCallId": "t", "state": "output-available"},
                    {"type": "text", "text": "A "},
                    {"type": "text", "text": "picture."},
                ],
            },
        ],
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is "},
                    {"type": "text", "text": "this?"},
                    {"type": "image_url", "image_url": {"url": PICTURE}},
                ],
            },
            {"role": "assistant", "content": "A picture."},
        ],
    ),
    "useChat, nothing for the model": (
        [{"role": "assistant", "parts": [{"type": "step-start"}]}, {"role": "user", "parts": []}],
        [{"role": "user", "content": ""}],
    ),
    "content and parts": (
        [{"role": "user", "content": "a", "parts": [{"type": "text", "text": "b"}]}],
        [{"role": "user", "content": "a"}],
    ),
    **{
        f"content {value!r} beside parts": (
            [{"role": "user", "content": value, "parts": [{"type": "text", "text": "b"}, PICTURE_FILE]}],
            [{"role": "user", "content": [{"type": "text", "text": "b"}, IMAGE_PART]}],
        )
        for value in EMPTY
    },
    "content beside parts that are none": (
        [{"role": "user", "content": "a", "parts": None}, {"role": "user", "content": "a", "parts": "b"}],
        [{"role": "user", "content": "a"}, {"role": "user", "content": "a"}],
    ),
    "capital letters": (
        [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "DATA:Image/PNG;base64,aB="}}]},
            {"role": "user", "content": [{"type": "image_url", "image_url": "HTTPS://A.test/B"}]},
            ui_part(type="file", mediaType="IMAGE/png", url=PICTURE)[0],
            attached(contentType="Image/PNG", url=PICTURE)[0],
            attached(url="Data:IMAGE/png;base64,aB=")[0],
        ],
        [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aB="}}]},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://A.test/B"}}]},
            {"role": "user", "content": [IMAGE_PART]},
            {"role": "user", "content": [{"type": "text", "text": "a"}, IMAGE_PART]},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "a"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,aB="}},
                ],
            },
        ],
    ),
    "blank text beside a picture": (
        [
            {"role": "user", "content": [{"type": "text", "text": ""}, IMAGE_PART, {"type": "text", "text": "\n"}]},
            {"role": "user", "parts": [{"type": "text", "text": " "}, PICTURE_FILE]},
            {"role": "user", "content": [{"type": "text", "text": ""}, PARTS[0]], **ATTACHED},
        ],
        [
            {"role": "user", "content": [IMAGE_PART]},
            {"role": "user", "content": [IMAGE_PART]},
            {"role": "user", "content": [PARTS[0], IMAGE_PART, IMAGE_PART, WEB_IMAGE]},
        ],
    ),
    "blank text beside text": (
        [{"role": "user", "content": [PARTS[0], {"type": "text", "text": "\n"}, PARTS[0]]}],
        [{"role": "user", "content": [PARTS[0], {"type": "text", "text": "\n"}, PARTS[0]]}],
    ),
    "an answer's own parts": (
        [{"role": "assistant", "content": [*UNSAID, {"type": "refusal", "refusal": "No."}, OUTPUT_TEXT]}],
        [{"role": "assistant", "content": [{"type": "text", "text": "No."}, {"type": "text", "text": "A"}]}],
    ),
    "an answer with pictures and files, which providers take of users only": (
        [
            {"role": "assistant", "content": [PARTS[0], IMAGE_PART, {"type": "tool-result"}]},
            {"role": "assistant", "parts": [PARTS[0], PICTURE_FILE, {"type": "file", "mediaType": "application/pdf"}]},
            {"role": "assistant", "content": "a", **ATTACHED},
            {"role": "assistant", "parts": [{"type": "file", "mediaType": "application/pdf"}]},
        ],
        [
            {"role": "assistant", "content": [PARTS[0]]},
            {"role": "assistant", "content": "Hi"},
            {"role": "assistant", "content": "a"},
        ],
    ),
    "a refusal": (
        [{"role": "assistant", "content": None, "refusal": "No."}],
        [{"role": "assistant", "content": "No."}],
    ),
    "a picture beside parts": (
        [{"role": "user", "content": [IMAGE_PART], "parts": [{"type": "text", "text": "b"}]}],
        [{"role": "user", "content": [IMAGE_PART]}],
    ),
    **{f"an answer of {turn!r}"[:80]: ([*HELLO, {"role": "assistant", **turn}], HELLO) for turn in SILENT},
    "an answer of some parts": (
        [{"role": "assistant", "content": None, "parts": [*NO_WORDS, {"type": "text", "text": "A"}]}],
        [{"role": "assistant", "content": "A"}],
    ),
    "attachments": (
        [{"role": "user", "content": "a", "parts": [{"type": "text", "text": "a"}], **ATTACHED}],
        [{"role": "user", "content": [{"type": "text", "text": "a"}, IMAGE_PART, IMAGE_PART, WEB_IMAGE]}],
    ),
    "attachments beside parts alone": (
        [{"role": "user", "content": "", "parts": [{"type": "text", "text": "a"}], **ATTACHED}],
        [{"role": "user", "content": [{"type": "text", "text": "a"}, IMAGE_PART, IMAGE_PART, WEB_IMAGE]}],
    ),
    "attachments beside a list": (
        [{"role": "user", "content": PARTS, **ATTACHED}],
        [{"role": "user", "content": [*PARTS, IMAGE_PART, IMAGE_PART, WEB_IMAGE]}],
    ),
    **{
        f"attachments beside {value!r}": (
            [{"role": "user", "content": value, **ATTACHED}],
            [{"role": "user", "content": [IMAGE_PART, IMAGE_PART, WEB_IMAGE]}],
        )
        for value in (None, "", "\n")
    },
    "no attachments": (
        [{**HELLO[0], "experimental_attachments": None}, {**HELLO[0], "experimental_attachments": []}],
        HELLO * 2,
    ),
    "as many as there may be": (HELLO * MAX_MESSAGES, HELLO * MAX_MESSAGES),
}


@pytest.mark.parametrize(("messages", "expected"), GOOD.values(), ids=GOOD)
def test_messages_get_the_form_of_openai_without_other_keys(messages: object, expected: list[dict[str, Any]]) -> None:
    assert load(messages=messages).messages == expected


LIST = f"Must be a list of 1 to {MAX_MESSAGES} messages."
ROLE = "Must be one of: system, developer, user, assistant."
CONTENT = "Must be a string or a list of parts."
URL = "Must be an object with a url."
KIND = "Must say which kind of image this is, like image/png."
IMAGE = "Must be a data URL of an image, or a web address."

NO_MESSAGES: list[object] = [[], {}, "hello", 7, True, HELLO * (MAX_MESSAGES + 1)]
NO_OBJECTS: list[object] = [None, [], "hello", 7]
NO_ROLES: list[object] = [None, "", "tool", "function", "User", 7, [], {}, ["user"], "\ud800"]
NO_LISTS: list[object] = ["", {}, 7]
NO_CONTENTS: list[object] = [None, 7, True, {}, [], {"type": "text"}]
NO_KINDS: list[object] = [None, "", "file", "input_text", [], {}, 7]
NO_STRINGS: list[object] = [None, 7, [], {}]
NO_IMAGES: list[object] = [None, 7, [], {}, {"url": None}, {"url": ["x"]}, {"url": {"url": PICTURE}}]
NO_URLS = ["", "a.png", "file:///etc/passwd", "data:text/html,x", "javascript:x", " https://a.test/", "ftp://a.test/"]
NO_PICTURES: list[object] = ["application/pdf", "text/plain", 7, ["image/png"]]
NO_KIND: list[object] = [None, "", []]


BAD_MESSAGES: list[tuple[object, str]] = [
    (None, "messages: Field may not be null."),
    *((value, f"messages: {LIST}") for value in NO_MESSAGES),
    *(([*HELLO, value], "messages[1]: Not an object.") for value in NO_OBJECTS),
    *(([{"role": role, "content": "a"}], f"messages[0].role: {ROLE}") for role in NO_ROLES),
    ([{"content": "a"}], f"messages[0].role: {ROLE}"),
    *(([*HELLO, {"role": "user", "content": value}], f"messages[1].content: {CONTENT}") for value in NO_CONTENTS),
    ([{"role": "user"}], f"messages[0].content: {CONTENT}"),
    *(
        ([{"role": role, "content": value, "parts": parts}], "messages[0].parts: Must be a list.")
        for role in ("user", "assistant")
        for value in EMPTY[:4]
        for parts in ("a", {"type": "text", "text": "a"}, 7)
    ),
    *((part(**one), "messages[0].content[0].type: Must be text or image_url.") for one in [*UNSAID, OUTPUT_TEXT]),
    (
        [{"role": "assistant", "content": [*UNSAID, {"type": "refusal", "refusal": None}]}],
        f"messages[0].content[{len(UNSAID)}].refusal: Not a string.",
    ),
    *(([{"role": "assistant", "content": value}], f"messages[0].content: {CONTENT}") for value in NO_CONTENTS[1:4]),
    *(([{"role": "assistant", **turn}], "messages: Must hold a message with content.") for turn in SILENT),
    ([{"role": "user", "content": "a\0b"}], "messages[0].content: Contains a NUL."),
    *(
        ([{"role": "user", "content": [PARTS[0], value]}], "messages[0].content[1]: Not an object.")
        for value in NO_OBJECTS
    ),
    *((part(type=kind), "messages[0].content[0].type: Must be text or image_url.") for kind in NO_KINDS),
    *(
        (
            [{"role": "assistant", "content": [{"type": kind}]}],
            "messages[0].content[0].type: Must be text or image_url.",
        )
        for kind in NO_KINDS
    ),
    *((part(type="text", text=value), "messages[0].content[0].text: Not a string.") for value in NO_STRINGS),
    (part(type="text"), "messages[0].content[0].text: Not a string."),
    (part(type="text", text="\0"), "messages[0].content[0].text: Contains a NUL."),
    *((part(type="image_url", image_url=value), f"messages[0].content[0].image_url: {URL}") for value in NO_IMAGES),
    *(
        (part(type="image_url", image_url={"url": url}), f"messages[0].content[0].image_url.url: {IMAGE}")
        for url in NO_URLS
    ),
    ([{"role": "user", "parts": [None]}], "messages[0].parts[0]: Not an object."),
    (ui_part(type="text", text=7), "messages[0].parts[0].text: Not a string."),
    *(
        (
            ui_part(type="file", mediaType=kind, url=PICTURE),
            "messages[0].parts[0].mediaType: Only images can be attached.",
        )
        for kind in NO_PICTURES
    ),
    *(
        (ui_part(type="file", mediaType=kind, url=PICTURE), f"messages[0].parts[0].mediaType: {KIND}")
        for kind in NO_KIND
    ),
    (ui_part(type="file", url="https://a.test/b.png"), f"messages[0].parts[0].mediaType: {KIND}"),
    (attached(url="https://a.test/b.png"), f"{ATTACHMENT}.contentType: {KIND}"),
    *(
        (attached(contentType=kind, url=PICTURE), f"{ATTACHMENT}.contentType: Only images can be attached.")
        for kind in ("application/pdf", "text/plain", 7, ["image/png"])
    ),
    (attached(url="data:text/plain,x"), f"{ATTACHMENT}.contentType: Only images can be attached."),
    (attached(), f"{ATTACHMENT}.contentType: {KIND}"),
    (attached(contentType="image/png"), f"{ATTACHMENT}.url: {URL}"),
    (attached(contentType="image/png", url="blob:https://a.test/1"), f"{ATTACHMENT}.url.url: {IMAGE}"),
    *(
        ([{**HELLO[0], "experimental_attachments": value}], "messages[0].experimental_attachments: Must be a list.")
        for value in NO_LISTS
    ),
    ([{**HELLO[0], "experimental_attachments": ["a"]}], f"{ATTACHMENT}: Not an object."),
    (ui_part(type="file", mediaType="image/png"), f"messages[0].parts[0].url: {URL}"),
    (
        ui_part(type="file", mediaType="image/png", url="blob:https://a.test/1"),
        f"messages[0].parts[0].url.url: {IMAGE}",
    ),
]


@pytest.mark.parametrize(("messages", "told"), BAD_MESSAGES, ids=lambda value: repr(value)[:80])
def test_a_message_that_is_wrong_is_named_with_its_place(messages: object, told: str) -> None:
    assert complaint({"chatSettings": MODEL, "messages": messages}) == told


@pytest.mark.parametrize("name", ["content", "parts", "experimental_attachments"])
def test_a_chat_has_a_limited_number_of_parts(name: str) -> None:
    """None of them is read: each of these would be wrong."""
    messages = [{"role": "user", "content": "a", name: [None] * MAX_PARTS}, {"role": "user", name: [None]}]
    told = f"messages: Must be of at most {MAX_PARTS} parts together."
    assert complaint({"chatSettings": MODEL, "messages": messages}) == told


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, f"chatSettings: {MISSING}"),
        ({"messages": HELLO}, f"chatSettings: {MISSING}"),
        ({"chatSettings": MODEL}, f"messages: {MISSING}"),
    ],
)
def test_both_halves_are_required(body: dict[str, object], told: str) -> None:
    assert complaint(body) == told
