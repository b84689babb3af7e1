"""Each provider in its own form: streams, whole answers, refusals."""

import json
from typing import Any

import pytest

from app.simulator import ANSWER, EMOJI, REASONING, words
from app.simulator.providers import WITH_OWN_FILE
from tests.client import Reply
from tests.processes import Simulator

from .questions import KEY, PATHS, chat, chunks, events, question, request

SAFE = {
    "hate": {"filtered": False, "severity": "safe"},
    "self_harm": {"filtered": False, "severity": "safe"},
    "sexual": {"filtered": False, "severity": "safe"},
    "violence": {"filtered": False, "severity": "safe"},
}
DATED = "/azure/openai/deployments/{}/chat/completions?api-version={}"
each_provider = pytest.mark.parametrize("provider", WITH_OWN_FILE)


def text_of(answer: Reply) -> str:
    """Return the text of a stream whose content is strings."""
    return "".join(choice["delta"].get("content") or "" for chunk in chunks(answer) for choice in chunk["choices"])


def errors(answer: Reply) -> dict[str, Any]:
    """Return the inner error of a refusal."""
    error: dict[str, Any] = answer.json()["error"]
    return error


@each_provider
def test_an_answer_is_the_same_text_for_each_provider(simulator: Simulator, provider: str) -> None:
    answer = chat(simulator, provider, "demo")
    assert answer.status == 200
    assert text_of(answer) == ANSWER


@each_provider
def test_an_answer_has_as_many_words_as_asked_an_event_each(simulator: Simulator, provider: str) -> None:
    answer = chat(simulator, provider, "demo@events-200")
    spoken = [
        choice["delta"]["content"]
        for chunk in chunks(answer)
        for choice in chunk["choices"]
        if choice["delta"].get("content")
    ]
    assert tuple(spoken) == words(200)
    assert len(set(spoken)) > 40
    assert "".join(spoken).startswith(f"{ANSWER} A chat")


@each_provider
def test_an_answer_that_is_not_streamed_is_one_completion(simulator: Simulator, provider: str) -> None:
    answer = request(simulator, "POST", PATHS[provider], question("demo", stream=False), KEY)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    choice = answer.json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == (ANSWER, "stop")
    assert answer.json()["object"] == "chat.completion"
    assert answer.json()["usage"]["total_tokens"] == 17 + len(ANSWER.split())


@each_provider
def test_a_whole_answer_joins_the_split_emoji(simulator: Simulator, provider: str) -> None:
    answer = chat(simulator, provider, "demo@emoji@json")
    assert answer.json()["choices"][0]["message"]["content"] == EMOJI


def test_openai_begins_with_the_role_and_ends_with_done(simulator: Simulator) -> None:
    answer = chat(simulator, "openai", "gpt-4o@events-1")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["x-request-id"].startswith("req_")
    chunk = (
        '{"id":"chatcmpl-simulated","object":"chat.completion.chunk","created":1767225600,"model":"gpt-4o@events-1",'
        '"service_tier":"default","system_fingerprint":"fp_simulated","choices":[{"index":0,"delta":%s,"logprobs":null,'
        '"finish_reason":%s}],"obfuscation":"%s"}'
    )
    assert events(answer) == [
        chunk % ('{"role":"assistant","content":"","refusal":null}', "null", "aVx0mLq9RzT3kWd7"),
        chunk % ('{"content":"A"}', "null", "Vx0mLq9RzT3kWd7"),
        chunk % ("{}", '"stop"', "aVx0mLq9RzT3kWd7"),
        "[DONE]",
    ]


def test_openai_counts_tokens_only_when_asked(simulator: Simulator) -> None:
    asked = chunks(chat(simulator, "openai", "gpt-4o@events-2", stream_options={"include_usage": True}))
    assert [chunk["usage"] for chunk in asked[:-1]] == [None] * 4
    assert asked[-1]["choices"] == []
    assert asked[-1]["usage"]["completion_tokens"] == 2
    assert all("usage" not in chunk for chunk in chunks(chat(simulator, "openai", "gpt-4o@events-2")))


def test_openai_leaves_the_padding_out_when_asked(simulator: Simulator) -> None:
    answer = chat(simulator, "openai", "gpt-4o", stream_options={"include_obfuscation": False})
    assert not any("obfuscation" in chunk for chunk in chunks(answer))


@pytest.mark.parametrize("model", ["o3", "o4-mini", "gpt-5", "gpt-5.1-mini", "gpt-6@events-2", "gpt-10"])
def test_openais_reasoning_models_refuse_what_they_do_not_take(simulator: Simulator, model: str) -> None:
    answer = chat(simulator, "openai", model, max_tokens=9)
    assert (answer.status, errors(answer)["code"]) == (400, "unsupported_parameter")
    assert errors(answer)["message"] == (
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    )
    answer = chat(simulator, "openai", model, temperature=0.5)
    assert (answer.status, errors(answer)["param"], errors(answer)["code"]) == (400, "temperature", "unsupported_value")
    assert chat(simulator, "openai", model, temperature=1, max_completion_tokens=9).status == 200


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-5-chat-latest", "gpt-35-turbo", "omni", "chatgpt-5"])
def test_other_openai_models_take_a_temperature_and_max_tokens(simulator: Simulator, model: str) -> None:
    assert chat(simulator, "openai", model, max_tokens=9, temperature=0.5).status == 200


def test_openai_refuses_arguments_it_does_not_know(simulator: Simulator) -> None:
    answer = chat(simulator, "openai", "gpt-4o", safe_prompt=True)
    assert answer.status == 400
    assert answer.json() == {
        "error": {
            "message": "Unrecognized request argument supplied: safe_prompt",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }
    }
    answer = chat(simulator, "openai", "gpt-4o", messages=[{"role": "user", "content": "x", "id": 7}])
    assert (errors(answer)["param"], errors(answer)["code"]) == ("messages[0].id", "unknown_parameter")


def test_azure_begins_with_the_verdict_on_the_prompt(simulator: Simulator) -> None:
    answer = chat(simulator, "azure", "my-deployment@events-1", stream_options={"include_usage": True})
    first, role, word, finish, usage = chunks(answer)
    assert events(answer)[0].startswith(
        '{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0,'
        '"content_filter_results":{"hate":{"filtered":false,"severity":"safe"},"jailbreak":{"filtered":false,'
    )
    assert first["prompt_filter_results"][0]["content_filter_results"]["jailbreak"]["detected"] is False
    assert role["choices"][0]["delta"] == {"content": "", "refusal": None, "role": "assistant"}
    assert role["choices"][0]["content_filter_results"] == {}
    assert word["choices"][0]["content_filter_results"] == SAFE
    assert (finish["choices"][0]["delta"], finish["choices"][0]["finish_reason"]) == ({}, "stop")
    assert (usage["choices"], usage["usage"]["completion_tokens"]) == ([], 1)


@pytest.mark.parametrize("segment", ["demo%40events-2", "demo@events-2", "%64emo%40events-2"])
def test_the_dated_path_of_azure_names_the_deployment(simulator: Simulator, segment: str) -> None:
    path = DATED.format(segment, "2024-10-21")
    answer = request(simulator, "POST", path, question("missing-in-the-body"), {"api-key": "k"})
    assert answer.status == 200
    assert chunks(answer)[1]["model"] == "demo@events-2"
    assert simulator.requests()[0]["path"] == path


@pytest.mark.parametrize(
    "path",
    [
        "/azure/openai/deployments/demo/chat/completions",
        DATED.format("demo", "soon"),
        DATED.format("de/mo", "2024-10-21"),
        "/azure/v1/chat/completions",
    ],
)
def test_azure_does_not_find_a_path_without_its_version(simulator: Simulator, path: str) -> None:
    answer = request(simulator, "POST", path, question("demo"), {"api-key": "k"})
    assert (answer.status, answer.json()) == (404, {"error": {"code": "404", "message": "Resource not found"}})


def test_azure_does_not_find_a_missing_deployment(simulator: Simulator) -> None:
    message = (
        "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes,"
        " please wait a moment and try again."
    )
    for path in (PATHS["azure"], DATED.format("missing-one", "2024-10-21")):
        answer = request(simulator, "POST", path, question("missing-one"), {"api-key": "k"})
        assert (answer.status, errors(answer)) == (404, {"code": "DeploymentNotFound", "message": message})


@pytest.mark.parametrize("name", ["stream_options", "max_completion_tokens"])
def test_old_versions_of_azure_do_not_know_newer_parameters(simulator: Simulator, name: str) -> None:
    body = question("demo", **{name: {} if name == "stream_options" else 9})
    old, new = (DATED.format("demo", version) for version in ("2024-08-01-preview", "2024-10-21"))
    answer = request(simulator, "POST", old, body, {"api-key": "k"})
    assert (answer.status, errors(answer)["message"]) == (400, f"Unrecognized request argument supplied: {name}")
    assert request(simulator, "POST", new, body, {"api-key": "k"}).status == 200


def test_groq_begins_with_its_id_and_ends_with_usage_unasked(simulator: Simulator) -> None:
    answer = chat(simulator, "groq", "llama@events-1")
    start = (
        '{"id":"chatcmpl-simulated","object":"chat.completion.chunk","created":1767225600,"model":"llama@events-1",'
        '"system_fingerprint":"fp_simulated","choices":[{"index":0,"delta":'
    )
    assert events(answer)[0] == (
        start + '{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],'
        '"x_groq":{"id":"req_01simulated"}}'
    )
    last = chunks(answer)[-1]
    assert events(answer)[-2].startswith(start + '{},"logprobs":null,"finish_reason":"stop"}],"x_groq":{"id":"req_')
    assert last["x_groq"]["usage"] == last["usage"]
    assert last["usage"]["completion_tokens"] == 1
    assert answer.headers["x-ratelimit-remaining-tokens"] == "5900"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"logprobs": True}, "property 'logprobs' is unsupported"),
        ({"logit_bias": {}}, "property 'logit_bias' is unsupported"),
        ({"n": 2}, "'n' : number must be at most 1"),
        (
            {"messages": [{"role": "user", "content": "x", "name": "Ann"}]},
            (
                "'messages.0' : for 'role:user' the following must be satisfied"
                "[('messages.0' : property 'name' is unsupported)]"
            ),
        ),
    ],
)
def test_groq_refuses_what_it_does_not_support(simulator: Simulator, more: dict[str, object], message: str) -> None:
    answer = chat(simulator, "groq", "llama", **more)
    assert (answer.status, errors(answer)) == (400, {"message": message, "type": "invalid_request_error"})


def test_mistral_ends_with_an_empty_string_and_usage_unasked(simulator: Simulator) -> None:
    answer = chat(simulator, "mistral", "mistral-small@events-1")
    assert answer.headers["content-type"] == "text/event-stream"
    chunk = (
        '{"id":"simulated","object":"chat.completion.chunk","created":1767225600,"model":"mistral-small@events-1",'
        '"choices":[{"index":0,"delta":%s,"finish_reason":%s}]%s}'
    )
    assert events(answer) == [
        chunk % ('{"role":"assistant","content":""}', "null", ""),
        chunk % ('{"content":"A"}', "null", ""),
        chunk % ('{"content":""}', '"stop"', ',"usage":{"prompt_tokens":17,"completion_tokens":1,"total_tokens":18}'),
        "[DONE]",
    ]


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({"max_completion_tokens": 9}, ["body", "max_completion_tokens"]),
        ({"stream_options": {"include_usage": True}}, ["body", "stream_options"]),
        ({"n": 1}, ["body", "n"]),
        ({"tools": []}, ["body", "tools"]),
        ({"messages": [{"role": "user", "content": "{x}", "name": "{Ann}"}]}, ["body", "messages", 0, "user", "name"]),
    ],
)
def test_mistral_forbids_every_key_it_does_not_know(
    simulator: Simulator, more: dict[str, object], where: list[str]
) -> None:
    answer = chat(simulator, "mistral", "mistral-small", **more)
    assert answer.status == 422
    assert answer.json()["message"]["detail"][0]["loc"] == where
    assert answer.json()["message"]["detail"][0]["type"] == "extra_forbidden"
    assert (answer.json()["object"], answer.json()["type"]) == ("error", "invalid_request_error")


def test_mistrals_refusal_of_a_key_is_literal(simulator: Simulator) -> None:
    answer = chat(simulator, "mistral", "mistral-small", max_completion_tokens=32000)
    assert answer.body.decode() == (
        '{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","max_completion_tokens"],'
        '"msg":"Extra inputs are not permitted","input":32000}]},"type":"invalid_request_error","param":null,'
        '"code":null}'
    )


def test_mistral_does_not_know_developers(simulator: Simulator) -> None:
    answer = chat(simulator, "mistral", "mistral-small", messages=[{"role": "developer", "content": "x"}])
    assert (answer.status, answer.json()["message"]["detail"][0]["type"]) == (422, "union_tag_invalid")


@pytest.mark.parametrize(
    ("provider", "name"), [("openai", "reasoning_content"), ("azure", "reasoning_content"), ("groq", "reasoning")]
)
def test_reasoning_comes_first_under_its_own_name(simulator: Simulator, provider: str, name: str) -> None:
    answer = chat(simulator, provider, "demo@reasoning")
    deltas = [choice["delta"] for chunk in chunks(answer) for choice in chunk["choices"]]
    thinking = [name in delta for delta in deltas]
    assert "".join(delta.get(name, "") for delta in deltas) == REASONING
    assert thinking.index(True) == 1
    assert not any(thinking[thinking.index(True) + sum(thinking) :])
    assert text_of(answer) == ANSWER


def test_mistral_reasons_in_lists_and_mixes_lists_and_strings(simulator: Simulator) -> None:
    contents = [chunk["choices"][0]["delta"]["content"] for chunk in chunks(chat(simulator, "mistral", "m@reasoning"))]
    lists = [content[0] for content in contents if isinstance(content, list)]
    thoughts = [part["thinking"][0]["text"] for part in lists if part["type"] == "thinking"]
    assert "".join(thoughts) == REASONING
    assert contents[1] == [{"type": "thinking", "thinking": [{"type": "text", "text": "The"}]}]
    said = contents[1 + len(thoughts) :]
    assert "".join(part if isinstance(part, str) else part[0]["text"] for part in said) == ANSWER
    assert (said[0], said[1], said[-1]) == ([{"type": "text", "text": "A"}], " chat", "")


UNAUTHORIZED = {
    "azure": (
        '{"error":{"code":"401","message":"Access denied due to invalid subscription key or wrong API endpoint. Make'
        " sure to provide a valid key for an active subscription and use a correct regional API endpoint for your"
        ' resource."}}'
    ),
    "groq": '{"error":{"message":"Invalid API Key","type":"invalid_request_error","code":"invalid_api_key"}}',
    "mistral": '{"detail":"Unauthorized"}',
}


@pytest.mark.parametrize("key", [None, "sk-refused", "k{0}"])
@each_provider
def test_a_missing_or_refused_key_gets_the_providers_401(simulator: Simulator, provider: str, key: str | None) -> None:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    answer = request(simulator, "POST", PATHS[provider], question("demo"), headers)
    assert answer.status == 401
    if provider == "openai":
        assert errors(answer)["code"] == ("invalid_api_key" if key else None)
        assert errors(answer)["message"].startswith("Incorrect API key" if key else "You didn't provide an API key.")
    else:
        assert answer.body.decode() == UNAUTHORIZED[provider]


def test_openais_401_shows_the_ends_of_the_key(simulator: Simulator) -> None:
    answer = request(simulator, "POST", PATHS["openai"], question("x"), {"Authorization": "Bearer sk-refused"})
    assert errors(answer)["message"] == (
        "Incorrect API key provided: sk-re***ed. You can find your API key at"
        " https://platform.openai.com/account/api-keys."
    )


def test_azure_takes_its_key_in_either_header(simulator: Simulator) -> None:
    for headers in ({"api-key": "k"}, {"Authorization": "Bearer k"}):
        assert request(simulator, "POST", PATHS["azure"], question("demo"), headers).status == 200
    assert request(simulator, "POST", PATHS["openai"], question("demo"), {"api-key": "k"}).status == 401


@each_provider
def test_an_unknown_model_gets_the_providers_refusal(simulator: Simulator, provider: str) -> None:
    answer = chat(simulator, provider, "unknown-{model}")
    status, code = {
        "openai": (404, "model_not_found"),
        "azure": (404, "DeploymentNotFound"),
        "groq": (404, "model_not_found"),
        "mistral": (400, "1500"),
    }[provider]
    error = answer.json().get("error", answer.json())
    assert (answer.status, error["code"]) == (status, code)
    assert provider == "azure" or "unknown-{model}" in error["message"]


@each_provider
def test_an_unknown_path_gets_the_providers_404(simulator: Simulator, provider: str) -> None:
    base = PATHS[provider].removesuffix("/chat/completions")
    answer = request(simulator, "POST", f"{base}/engines", question("demo"), KEY)
    assert answer.status == 404
    message = {
        "openai": "Invalid URL (POST /v1/engines)",
        "azure": "Resource not found",
        "groq": "Unknown request URL: POST /openai/v1/engines. Please check the URL for typos",
        "mistral": "no Route matched with those values",
    }[provider]
    assert message in answer.body.decode()
    assert request(simulator, "GET", PATHS[provider], headers=KEY).status == 404


@each_provider
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", question("")])
def test_a_body_that_is_no_chat_is_the_clients_fault(simulator: Simulator, provider: str, body: bytes) -> None:
    assert request(simulator, "POST", PATHS[provider], body, KEY).status == (422 if provider == "mistral" else 400)


@each_provider
def test_a_chat_needs_messages(simulator: Simulator, provider: str) -> None:
    answer = request(simulator, "POST", PATHS[provider], json.dumps({"model": "demo"}).encode(), KEY)
    assert answer.status == (422 if provider == "mistral" else 400)
    assert b"messages" in answer.body


def test_each_provider_has_a_refusal_for_every_reason() -> None:
    reasons = [set(provider.refusals) for provider in WITH_OWN_FILE.values()]
    assert all(each == reasons[0] for each in reasons)
