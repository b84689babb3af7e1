"""A provider's error answer -> what a person is told."""

import json
import re
import time
from email.utils import formatdate

import pytest

from app.dialects.refusal import error_answer, refused, reported
from app.failure import Code, Failure
from app.upstream.account import Account
from app.upstream.secrets import MAX_MESSAGE_CHARACTERS

KEY = "abcdef-0123456789"
WRONG = "Mistral API Key is incorrect. Please fix it in your profile settings."


def refuse(status: int, body: object, **headers: str) -> Failure:
    """Translate an answer; `retry_after` becomes `retry-after`."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    found = refused(Account("Mistral", "", KEY), status, named, content)
    assert found.code in set(Code)
    return found


BODIES: dict[str, tuple[int, object, tuple[int, str, str]]] = {
    "OpenAI, wrong key": (
        401,
        {
            "error": {
                "message": "Incorrect API key provided: sk-ab***yz. You can find your API key at https://a.test/.",
                "type": "invalid_request_error",
                "param": None,
                "code": "invalid_api_key",
            }
        },
        (401, "provider_auth", WRONG),
    ),
    "OpenAI, no key": (
        401,
        {
            "error": {
                "message": "You didn't provide an API key.",
                "type": "invalid_request_error",
                "param": None,
                "code": None,
            }
        },
        (401, "provider_auth", WRONG),
    ),
    "OpenAI, unknown model": (
        404,
        {
            "error": {
                "message": "The model `x` does not exist or you do not have access to it.",
                "type": "invalid_request_error",
                "param": None,
                "code": "model_not_found",
            }
        },
        (404, "provider_bad_request", "The model `x` does not exist or you do not have access to it."),
    ),
    "OpenAI, context": (
        400,
        {
            "error": {
                "message": "This model's maximum context length is 8192 tokens.",
                "type": "invalid_request_error",
                "param": "messages",
                "code": "context_length_exceeded",
            }
        },
        (400, "provider_bad_request", "This model's maximum context length is 8192 tokens."),
    ),
    "OpenAI, rate": (
        429,
        {"error": {"message": "Rate limit reached.", "type": "requests", "param": None, "code": "rate_limit_exceeded"}},
        (429, "provider_rate_limited", "Rate limit reached."),
    ),
    "OpenAI, quota": (
        429,
        {
            "error": {
                "message": "You exceeded your current quota.",
                "type": "insufficient_quota",
                "param": None,
                "code": "insufficient_quota",
            }
        },
        (429, "provider_quota", "You exceeded your current quota."),
    ),
    "Azure, wrong key": (
        401,
        {"error": {"code": "401", "message": "Access denied due to invalid subscription key."}},
        (401, "provider_auth", WRONG),
    ),
    "Azure, deployment": (
        404,
        {"error": {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."}},
        (404, "provider_bad_request", "The API deployment for this resource does not exist."),
    ),
    "Azure, path": (
        404,
        {"error": {"code": "404", "message": "Resource not found"}},
        (404, "provider_bad_request", "Resource not found"),
    ),
    "Azure, rate": (
        429,
        {
            "error": {
                "code": "429",
                "message": "Requests have exceeded the call rate limit. Please retry after 6 seconds.",
            }
        },
        (429, "provider_rate_limited", "Requests have exceeded the call rate limit. Please retry after 6 seconds."),
    ),
    "Azure, content filter": (
        400,
        {
            "error": {
                "message": "The response was filtered due to the prompt triggering our policy.",
                "type": None,
                "param": "prompt",
                "code": "content_filter",
                "status": 400,
                "innererror": {
                    "code": "ResponsibleAIPolicyViolation",
                    "content_filter_result": {"hate": {"filtered": False, "severity": "safe"}},
                },
            }
        },
        (400, "content_filter", "The response was filtered due to the prompt triggering our policy."),
    ),
    "Groq, wrong key": (
        401,
        {"error": {"message": "Invalid API Key", "type": "invalid_request_error", "code": "invalid_api_key"}},
        (401, "provider_auth", WRONG),
    ),
    "Groq, context": (
        400,
        {
            "error": {
                "message": "Please reduce the length of the messages or completion.",
                "type": "invalid_request_error",
                "param": "messages",
                "code": "context_length_exceeded",
            }
        },
        (400, "provider_bad_request", "Please reduce the length of the messages or completion."),
    ),
    "Groq, too large": (
        413,
        {"error": {"message": "Request too large for model `x`.", "type": "tokens", "code": "rate_limit_exceeded"}},
        (413, "provider_too_large", "Request too large for model `x`."),
    ),
    "Groq, flex": (498, {"error": {"message": "Capacity."}}, (498, "provider_bad_request", "Capacity.")),
    "Mistral, wrong key": (401, {"detail": "Unauthorized"}, (401, "provider_auth", WRONG)),
    "Mistral, wrong key, older": (401, {"message": "Unauthorized", "request_id": "r"}, (401, "provider_auth", WRONG)),
    "Mistral, unknown model": (
        400,
        {"object": "error", "message": "Invalid model: x", "type": "invalid_model", "param": None, "code": "1500"},
        (400, "provider_bad_request", "Invalid model: x"),
    ),
    "Mistral, rate": (
        429,
        {
            "object": "error",
            "message": "Rate limit exceeded",
            "type": "rate_limited",
            "param": None,
            "code": "1300",
            "raw_status_code": 429,
        },
        (429, "provider_rate_limited", "Rate limit exceeded"),
    ),
    "Mistral, unknown key in the body": (
        422,
        {
            "object": "error",
            "message": {
                "detail": [
                    {
                        "type": "extra_forbidden",
                        "loc": ["body", "max_completion_tokens"],
                        "msg": "Extra inputs are not permitted",
                        "input": 32000,
                    }
                ]
            },
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        },
        (422, "provider_bad_request", "body.max_completion_tokens: Extra inputs are not permitted"),
    ),
    "Mistral, two complaints": (
        422,
        {"detail": [{"loc": ["body", "n"], "msg": "One."}, {"loc": ["body", "messages", 0, "name"], "msg": "Two."}]},
        (422, "provider_bad_request", "body.n: One.; body.messages.0.name: Two."),
    ),
    "a message that is a list": (
        400,
        {"object": "error", "message": ["One.", "Two."]},
        (400, "provider_bad_request", "One.; Two."),
    ),
    "Anthropic, overloaded": (
        529,
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "req_1"},
        (529, "provider_overloaded", "Overloaded"),
    ),
    "Gemini, wrong key": (
        400,
        {
            "error": {
                "code": 400,
                "message": "API key not valid. Please pass a valid API key.",
                "status": "INVALID_ARGUMENT",
                "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}],
            }
        },
        (401, "provider_auth", WRONG),
    ),
    "Gemini compat, in a list": (
        400,
        [{"error": {"code": 400, "message": "Invalid Authorization header.", "status": "INVALID_ARGUMENT"}}],
        (400, "provider_bad_request", "Invalid Authorization header."),
    ),
    "Gemini, overloaded": (
        503,
        [{"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}],
        (503, "provider_overloaded", "The model is overloaded."),
    ),
    "Perplexity, wrong key": (
        401,
        b"<html><head><title>401 Authorization Required</title></head></html>",
        (401, "provider_auth", WRONG),
    ),
    "Perplexity, unknown model": (
        400,
        {"error": {"message": "Invalid model 'x'.", "type": "invalid_model", "code": 400}},
        (400, "provider_bad_request", "Invalid model 'x'."),
    ),
    "OpenRouter, no credits": (
        402,
        {"error": {"code": 402, "message": "Insufficient credits.", "metadata": {}}},
        (402, "provider_quota", "Insufficient credits."),
    ),
    "OpenRouter, moderation": (
        403,
        {"error": {"code": 403, "message": "Flagged.", "metadata": {"reasons": ["violence"]}}},
        (403, "provider_denied", "Flagged."),
    ),
    "vLLM, wrong key": (401, {"error": "Unauthorized"}, (401, "provider_auth", WRONG)),
    "vLLM, unknown model": (
        404,
        {"error": {"message": "The model `x` does not exist.", "type": "NotFoundError", "param": "model", "code": 404}},
        (404, "provider_bad_request", "The model `x` does not exist."),
    ),
    "vLLM, older": (
        404,
        {
            "object": "error",
            "message": "The model `x` does not exist.",
            "type": "NotFoundError",
            "param": None,
            "code": 404,
        },
        (404, "provider_bad_request", "The model `x` does not exist."),
    ),
    "LM Studio, a string": (
        400,
        {"error": "The number of tokens to keep is greater (n_keep: 9>= n_ctx: 8)"},
        (400, "provider_bad_request", "The number of tokens to keep is greater (n_keep: 9>= n_ctx: 8)"),
    ),
    "a failing server": (500, {"error": {"message": "Boom."}}, (500, "provider_error", "Boom.")),
    "a failing proxy": (502, {"error": {"message": "Boom."}}, (502, "provider_error", "Boom.")),
    "a slow proxy": (504, {"error": {"message": "Boom."}}, (504, "provider_error", "Boom.")),
    "a word beside the message": (
        400,
        {"error": "invalid_request", "message": "Boom."},
        (400, "provider_bad_request", "Boom."),
    ),
    "true beside the message": (400, {"error": True, "message": "Boom."}, (400, "provider_bad_request", "Boom.")),
    "a word and its description": (
        400,
        {"error": "x", "error_description": "Boom."},
        (400, "provider_bad_request", "Boom."),
    ),
    "a word alone": (400, {"error": "overloaded"}, (400, "provider_bad_request", "overloaded")),
    "an error in a message": (400, {"error": {"message": {"error": "Boom."}}}, (400, "provider_bad_request", "Boom.")),
    "an error in a detail": (400, {"detail": {"error": "Boom."}}, (400, "provider_bad_request", "Boom.")),
    "an error's error": (400, {"error": {"error": {"message": "Boom."}}}, (400, "provider_bad_request", "Boom.")),
    "errors": (400, {"errors": [{"message": "Boom."}]}, (400, "provider_bad_request", "Boom.")),
    "errors that are strings": (400, {"errors": ["One.", "Two."]}, (400, "provider_bad_request", "One.; Two.")),
    "nothing among the errors": (400, {"errors": [], "message": "Boom."}, (400, "provider_bad_request", "Boom.")),
    "msg": (400, {"code": 1001, "msg": "Boom."}, (400, "provider_bad_request", "Boom.")),
    "a problem": (400, {"type": "a:b", "title": "Bad", "detail": "Boom."}, (400, "provider_bad_request", "Boom.")),
    "a capital letter": (400, {"Message": "Boom."}, (400, "provider_bad_request", "Boom.")),
    "JSON in a string": (
        400,
        {"error": {"message": json.dumps({"error": {"message": "Boom."}})}},
        (400, "provider_bad_request", "Boom."),
    ),
    "OpenRouter, what the provider behind it says": (
        429,
        {"error": {"code": 429, "message": "Provider returned error", "metadata": {"raw": "Slow down."}}},
        (429, "provider_rate_limited", "Slow down."),
    ),
    "OpenRouter, the same as JSON": (
        429,
        {
            "error": {
                "code": 429,
                "message": "Provider returned error",
                "metadata": {"raw": '{"error":{"message":"Slow down.","code":"insufficient_quota"}}'},
            }
        },
        (429, "provider_rate_limited", "Slow down."),
    ),
    "OpenRouter, the same as a page": (
        502,
        {"error": {"code": 502, "message": "Provider returned error", "metadata": {"raw": "<!doctype html><p>502"}}},
        (502, "provider_error", "Provider returned error"),
    ),
    "a title in the metadata": (
        400,
        {"error": {"message": "Boom.", "metadata": {"title": "no", "error": "no"}}},
        (400, "provider_bad_request", "Boom."),
    ),
    "a reason in the details": (
        400,
        {"error": {"message": "Boom.", "details": [{"reason": "SOME_WORD", "message": "No."}]}},
        (400, "provider_bad_request", "Boom."),
    ),
    "a null beside the message": (400, {"error": None, "message": "Boom."}, (400, "provider_bad_request", "Boom.")),
}


@pytest.mark.parametrize(("status", "body", "expected"), BODIES.values(), ids=BODIES)
def test_a_refusal_is_told_in_the_words_of_the_provider(
    status: int, body: object, expected: tuple[int, str, str]
) -> None:
    found = refuse(status, body)
    assert (found.status, found.code, found.message) == expected


WRAPPED: list[object] = [
    # However an error is wrapped, "Boom." is its sentence.
    "Boom.",
    {"errcode": 1, "errmsg": "Boom."},
    {"err": "Boom."},
    {"err": {"message": "Boom."}},
    {"err_msg": "Boom."},
    {"errorMsg": "Boom."},
    {"ErrorMessage": "Boom."},
    {"error-message": "Boom."},
    {"error_detail": "Boom."},
    {"base_resp": {"status_code": 1, "status_msg": "Boom."}},
    {"error": {"details": [{"message": "Boom."}]}},
    {"details": {"message": "Boom."}},
    {"error": {"reason": "Boom."}},
    {"error": True, "reason": "Boom."},
    {"errors": {"n": ["Boom."]}},
    {"error": {"message": {"n": ["Boom."]}}},
    {"fault": {"faultstring": "Boom."}},
    {"Fault": {"Code": 1, "FaultString": "Boom."}},
    {"Error": {"Message": "Boom."}},
    {"ERROR": "Boom."},
    {"response": {"error": {"message": "Boom."}}},
    {"data": {"error": "Boom."}},
    {"header": {"code": 10163, "message": "Boom."}},
    {"success": False, "result": {"error": {"text": "Boom."}}},
    {"n": ["Boom."]},
    {"ok": False, "whatever": {"wherever": [{"it": "Boom."}]}},
    {"model": "my model", "messages": [{"content": "Hello you."}], "date": "Sun, 29 Nov", "why": "Boom."},
    {"error": {"type": "x", "code": "y", "explanation": "Boom."}},
    {"message": "<b>Boom.</b>"},
    {"error": "x", "details": [{"message": "Boom."}]},
    {"error": "x", "hint": "Boom."},
    {"message": "error", "detail": "Boom."},
    {"error": {"message": "Boom.", "errors": [{"reason": "badRequest"}]}},
    {"title": "One or more validation errors occurred.", "errors": {"Field": ["Boom."]}},
    b'error: {"message": "Boom."}\n\n',
    json.dumps({"innererror": "Boom."}),
    {"description": {"why": json.dumps([["Boom."]])}},
    b'event: error\ndata: {"error": {"message": "Boom."}}\n\ndata: [DONE]\n\n',
    b'event: error\r\ndata: {"error":\r\ndata: "Boom."}\r\n\r\n',
    b": hello\n\nevent: error\ndata: Boom.\n\n",
]


@pytest.mark.parametrize("body", WRAPPED, ids=lambda body: repr(body)[:60])
def test_a_sentence_is_found_however_it_is_wrapped(body: object) -> None:
    assert refuse(400, body).message == "Boom."
    assert refuse(400, body, content_type="text/plain").message == "Boom."


def test_a_word_in_angle_brackets_is_not_a_page() -> None:
    for words in ("<model> not found", "Use <|im_end|> once.", "a < b > c", "The tag <think> is not closed."):
        assert refuse(404, {"message": words}).message == words


WHOLE: list[tuple[object, tuple[int, str, str]]] = [
    ({"message": "Boom."}, (500, "provider_error", "Boom.")),
    ({"msg": "Boom."}, (500, "provider_error", "Boom.")),
    ({"success": False, "message": "Boom."}, (500, "provider_error", "Boom.")),
    ({"statusCode": 401, "message": "Boom."}, (401, "provider_auth", WRONG)),
    ({"status": "503", "message": "Boom."}, (503, "provider_overloaded", "Boom.")),
    ({"status": 500, "title": "Boom."}, (500, "provider_error", "Boom.")),
    ({"header": {"code": 429, "message": "Boom."}}, (429, "provider_rate_limited", "Boom.")),
    ({"error": {"http_status": 413, "message": "Boom."}}, (413, "provider_too_large", "Boom.")),
    ({"choices": None, "error": {"code": 400, "message": "Boom."}}, (400, "provider_bad_request", "Boom.")),
    ([{"error": {"code": 400, "message": "Boom."}}], (400, "provider_bad_request", "Boom.")),
    ("Boom.", (500, "provider_error", "Boom.")),
    ({"done": True}, (500, "provider_error", "Mistral reported an error in its answer.")),
    ({}, (500, "provider_error", "Mistral reported an error in its answer.")),
]


@pytest.mark.parametrize(("body", "expected"), WHOLE, ids=lambda value: repr(value)[:60])
def test_a_whole_body_without_choices_is_an_error(body: object, expected: tuple[int, str, str]) -> None:
    error = error_answer(json.dumps(body).encode())
    assert error is not None
    found = reported(Account("Mistral", "", KEY), error)
    assert (found.status, found.code, found.message) == expected


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{", b"42", b"null", b'{"choices": []}', b'{"choices": [{}]}', b'[{"choices": [{}]}]']
)
def test_any_other_whole_body_is_none(body: bytes) -> None:
    assert error_answer(body) is None


NO_SENTENCE: list[object] = [
    b"",
    b" ",
    b"<html><body><h1>503 Service Unavailable</h1></body></html>",
    b"upstream connect error",
    b"\xff\xfe\x00",
    b"{",
    b'{"error": {"message": "cut',
    b"[" * 100_000,
    b"null",
    b"42",
    b'""',
    b'"<html>"',
    [],
    {},
    [None],
    [1],
    [[]],
    {"error": None},
    {"error": {}},
    {"error": []},
    {"error": 42},
    {"error": {"message": None}},
    {"error": {"message": 42}},
    {"error": {"message": ""}},
    {"error": {"message": " \n "}},
    {"error": {"message": {}}},
    {"error": {"message": [[]]}},
    {"error": {"msg": None}},
    {"detail": []},
    {"detail": [None, 1]},
    b"9" * 5000,
]


@pytest.mark.parametrize("body", NO_SENTENCE, ids=lambda body: repr(body)[:40])
def test_a_refusal_without_readable_text_is_told_by_its_status(body: object) -> None:
    found = refuse(503, body)
    assert (found.status, found.code, found.message) == (
        503,
        "provider_overloaded",
        "Mistral answered with status 503.",
    )


@pytest.mark.parametrize(
    "error",
    [
        {"msg": "Boom.", "loc": None},
        {"msg": "Boom.", "loc": 42},
        {"msg": "Boom.", "loc": "body"},
        {"msg": "Boom.", "loc": {}},
        {"msg": "Boom."},
    ],
    ids=json.dumps,
)
def test_a_complaint_about_an_odd_place_is_told(error: object) -> None:
    assert re.fullmatch(r"([\w ]+: )?Boom\.", refuse(422, {"detail": [error]}).message)


@pytest.mark.parametrize("shape", [(b'{"message":', b"}"), (b"[", b"]"), (b'{"detail":[', b"]}")], ids=["{", "[", "{["])
def test_no_depth_of_a_message_is_a_mistake_of_ours(shape: tuple[bytes, bytes]) -> None:
    for depth in range(100, 1100, 10):
        body = b'{"error":' + shape[0] * depth + b'"Boom."' + shape[1] * depth + b"}"
        assert refuse(400, body).status == 400
        try:
            error = json.loads(body)["error"]
        except RecursionError:
            continue
        assert reported(Account("Mistral", "", KEY), error).status == 500


@pytest.mark.parametrize("status", [301, 302, 303, 304, 307, 308])
def test_a_redirect_is_refused_and_its_target_not_told(status: int) -> None:
    found = refuse(status, {"message": "Moved to http://evil.test/"}, location="http://evil.test/")
    assert (found.status, found.code) == (500, "up_redirect")
    assert "evil" not in found.message


@pytest.mark.parametrize("status", [600, 700, 999])
def test_a_status_that_no_client_knows_is_not_passed_on(status: int) -> None:
    """A browser's `fetch` rejects it, and nobody would see the message."""
    assert refuse(status, {"message": "Boom."}).status == 500


# Plain text.

PLAIN = {"content-type": "text/plain; charset=utf-8"}


def told(status: int, content: bytes, account: Account = Account("Mistral", "", KEY)) -> str:  # noqa: B008 - frozen
    return refused(account, status, PLAIN, content).message


def test_a_short_plain_text_is_a_sentence() -> None:
    assert told(503, b" no healthy upstream\n") == "no healthy upstream"
    assert told(400, b"The model is not loaded.\nLoad it first.") == "The model is not loaded. Load it first."
    assert told(400, f"bad key {KEY}".encode()) == "bad key [key]"
    assert told(401, b"Unauthorized") == WRONG


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html><body>502 Bad Gateway</body></html>",
        b"Bad <!DOCTYPE html>",
        b"x" * (MAX_MESSAGE_CHARACTERS + 1),
        b"Traceback (most recent call last):\n  File\n    raise\nValueError",
        b'{"error": {"message": "cut',
    ],
    ids=["nothing", "HTML", "HTML after a word", "long", "a traceback", "half of JSON"],
)
def test_any_other_plain_text_is_none(content: bytes) -> None:
    assert told(502, content) == "Mistral answered with status 502."


PAGES = (
    "502<hr><center>nginx",
    "<Error><Code>AccessDenied</Code></Error>",
    "Oops </DIV>",
    "<p>It is broken.",
    "It is<!-- not --> broken.",
    "<h1\nclass='x'>No</h1>",
)


def test_a_page_in_a_message_is_not_told() -> None:
    for page in (
        "<html><h1>Oops</h1>",
        " <!DOCTYPE html>",
        "Sorry: <HTML><body>",
        "<?xml version='1.0'?><Error/>",
        *PAGES,
    ):
        assert refuse(500, {"message": page}).message == "Mistral answered with status 500."


# Behind another base URL than the provider's own.


def house(base_url: str) -> Account:
    return Account("OpenAI", base_url, KEY, home="https://api.openai.com/v1")


def test_the_host_is_named_where_it_is_not_the_usual_one() -> None:
    for base_url in ("https://llm.lab.example/v1", "http://LLM.lab.example:8080/v1/", "https://ada@llm.lab.example"):
        assert (
            refused(house(base_url), 500, {}, b"").message == "The server at llm.lab.example answered with status 500."
        )
        assert refused(house(base_url), 302, {}, b"").message.startswith(
            "The server at llm.lab.example answered with a redirect"
        )
        assert refused(house(base_url), 401, {}, b"").message.startswith("OpenAI API Key is incorrect.")
    for base_url in ("https://api.openai.com/v1/", "https://eu.api.openai.com/v1", "HTTPS://API.OPENAI.COM"):
        assert refused(house(base_url), 500, {}, b"").message == "OpenAI answered with status 500."


HINT = "The base URL may be wrong: most end in /v1."


@pytest.mark.parametrize(
    ("base_url", "content", "message"),
    [
        ("http://llm.lab.example", b"404 page not found\n", f"404 page not found. {HINT}"),
        ("http://llm.lab.example/v1/v1", b"404 page not found\n", f"404 page not found. {HINT}"),
        ("http://llm.lab.example", b'{"detail":"Not Found"}', f"Not Found. {HINT}"),
        ("http://llm.lab.example", b"", f"The server at llm.lab.example answered with status 404. {HINT}"),
        ("http://llm.lab.example/v1", b'{"error":"model x not found"}', "model x not found"),
        ("https://api.openai.com/v1", b"404 page not found", "404 page not found"),
    ],
)
def test_a_path_that_is_not_there_hints_at_the_base_url(base_url: str, content: bytes, message: str) -> None:
    assert told(404, content, house(base_url)) == message


def test_a_refused_key_of_the_operator_names_the_operator() -> None:
    account = Account("Mistral", "", KEY, has_operators_key=True)
    sentence = "Mistral API Key is incorrect. Whoever runs this service has to fix it."
    assert refused(account, 401, {}, b"").message == sentence
    assert reported(account, {"code": 401, "message": "no"}).message == sentence


def test_an_error_of_any_shape_is_found_in_a_stream() -> None:
    for error in (
        "Boom.",
        {"code": 1001, "msg": "Boom."},
        {"error": {"message": "Boom."}, "choices": []},
        [{"error": {"message": "Boom."}}],
        {"detail": {"error": "Boom."}},
    ):
        found = reported(Account("Mistral", "", KEY), error)
        assert (found.status, found.code, found.message) == (500, "provider_error", "Boom.")
    limited = {"error": {"code": 429, "message": "x", "metadata": {"raw": "Boom."}}}
    found = reported(Account("Mistral", "", KEY), limited)
    assert (found.status, found.message) == (429, "Boom.")


# Retry-After.


@pytest.mark.parametrize(
    ("value", "kept"), [("0.5", "1"), ("6.0", "6"), ("00.001", "1"), ("3599.1", "3600"), ("07", "7")]
)
def test_half_a_second_is_rounded_up(value: str, kept: str) -> None:
    assert refuse(429, {"message": "Slow down."}, retry_after=value).headers == {"Retry-After": kept}


def date(seconds: float) -> str:
    return formatdate(time.time() + seconds, usegmt=True)


@pytest.mark.parametrize("value", ["3601", "3600.1", "86400", "9999999999", "Fri, 20 Nov 9999 07:28:00 GMT"])
def test_more_than_an_hour_is_dropped(value: str) -> None:
    assert refuse(429, {"message": "Slow down."}, retry_after=value).headers == {}


def test_a_date_is_kept_within_the_hour_and_dropped_behind_it() -> None:
    soon, late = date(1800), date(7200)
    assert refuse(429, {"message": "Slow down."}, retry_after=soon).headers == {"Retry-After": soon}
    assert refuse(429, {"message": "Slow down."}, retry_after=late).headers == {}


@pytest.mark.parametrize("value", ["0", "20", "3600", "Fri, 20 Nov 2026 07:28:00 GMT"])
def test_retry_after_is_kept(value: str) -> None:
    assert refuse(429, {"message": "Slow down."}, retry_after=value).headers == {"Retry-After": value}
    assert refuse(503, b"", retry_after=value).headers == {"Retry-After": value}


@pytest.mark.parametrize(
    "value",
    [
        "",
        "soon",
        "-1",
        "1.5e3",
        "inf",
        "NaN",
        "+5",
        ".5",
        "-0.5",
        "1_0",
        "Fri, 99 Nov 2026 07:28:00 GMT",
        "Fri, 20 Nov 2026 27:28:00 GMT",
        "7; x",
        "7\r\nSet-Cookie: a=b",
        "7\n",
        "9" * 41,
        "é",
        "日",
        "٣",
        "<b>",
        ", , ,",
    ],
)
def test_a_malformed_retry_after_is_dropped(value: str) -> None:
    assert refuse(429, {"message": "Slow down."}, retry_after=value).headers == {}


def test_no_other_header_is_passed_on() -> None:
    named = {"x_request_id": "r", "set_cookie": "a=b", "www_authenticate": "Bearer", "content_type": "text/html"}
    assert refuse(401, {}, **named).headers == {}
    assert refuse(400, {}, **named).headers == {}


# Cleaning.

SECRETS = [
    "sk-ab***yz",
    "sk-proj-abc_DEF-123",
    "sk-or-v1-0123",
    "gsk_abcDEF012",
    "xai-abc",
    "pplx-abc",
    "AIzaSyA-b_c",
    "AQ.Ab8-x_y",
    "Bearer abc.def-ghi",
    KEY,
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("around", ["{}", "key {} is", '"{}"', "({})", "'{}',", "key={};", "key:{}\n", "{} {}"])
def test_no_key_is_shown(secret: str, around: str) -> None:
    message = refuse(400, {"error": {"message": around.format(secret, secret)}}).message
    assert "[key]" in message
    assert secret.removeprefix("Bearer ") not in message


def test_a_key_at_the_cut_is_not_shown_in_part() -> None:
    for start in range(MAX_MESSAGE_CHARACTERS - 20, MAX_MESSAGE_CHARACTERS + 1):
        for secret in (KEY, "sk-abcdefgh"):
            message = refuse(400, {"message": "x" * (start - 1) + " " + secret}).message
            assert "abc" not in message


def test_words_that_only_look_like_keys_are_left() -> None:
    words = "risk-free task-list AIz bearer of sketch gsk"
    assert refuse(400, {"message": words}).message == words


def test_control_characters_become_spaces() -> None:
    text = "one\r\n\ttwo\x00\x1b[31m\x7f\x9bthree\u2028\u2029four"
    assert refuse(400, {"message": text}).message == "one two [31m three four"


def test_half_a_character_can_be_encoded() -> None:
    assert refuse(400, b'{"message": "a \\ud83d b"}').message.encode()


def test_a_long_message_is_cut() -> None:
    body = {"error": {"message": "é" * 1_000_000}}
    assert refuse(400, body).message == "é" * MAX_MESSAGE_CHARACTERS
    assert (
        len(refuse(400, {"detail": [{"loc": ["a"] * 1000, "msg": "b" * 1000}] * 1000}).message)
        == MAX_MESSAGE_CHARACTERS
    )


def test_a_huge_message_of_nothing_but_keys_is_quickly_cleaned() -> None:
    assert refuse(400, {"message": "sk-a " * 200_000}).message.startswith("[key] [key]")
    assert refuse(400, {"message": "api key " * 100_000}).status == 400
