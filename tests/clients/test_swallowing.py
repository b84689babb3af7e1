"""A frontend that swallows a broken connection, as chatbot-ui's reader does, and keeps whatever had come."""

import json
import subprocess
import uuid
from typing import Any

import pytest

from app.simulator import ANSWER, words
from tests import client
from tests.clients.test_ai_sdk import FOLDER, node
from tests.processes import Service, Simulator

CUT = "The server at 127.0.0.1 cut the answer off before its end."
SHORT = {
    "cut-3": f"{''.join(words(3))}\n\n[This answer is incomplete. The provider's answer was cut off before its end.]",
    "truncated-3": f"{''.join(words(3))}\n\n[This answer is incomplete. {CUT}]",
    "length": f"{ANSWER}\n\n[This answer is incomplete. It reached the limit of its length.]",
    "filtered": f"{ANSWER}\n\n[This answer is incomplete. A content filter stopped it.]",
}


def kept(service: Service, model: str, **settings: object) -> dict[str, Any]:
    """Ask under Node; return what the frontend is left with."""
    body = json.dumps({"chatSettings": {"model": model, **settings}, "messages": client.HELLO})
    command = [node(), str(FOLDER / "swallow.mjs"), f"{service.url}/api/chat/openai", body]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


@pytest.mark.parametrize("fault", SHORT)
def test_what_it_keeps_of_a_short_answer_says_so(service: Service, fault: str) -> None:
    assert kept(service, f"gpt-4o@{fault}@pace-30") == {"status": 200, "kept": SHORT[fault]}


def test_what_it_keeps_of_a_whole_answer_is_the_answer(service: Service) -> None:
    assert kept(service, "gpt-4o") == {"status": 200, "kept": ANSWER}


def test_what_it_kept_can_be_sent_back_with_the_next_turn(service: Service, simulator: Simulator) -> None:
    marker = uuid.uuid4().hex
    messages = [*client.HELLO, {"role": "assistant", "content": SHORT["cut-3"]}, {"role": "user", "content": marker}]
    reply = client.chat(service, "openai", "gpt-4o", messages=messages)
    assert (reply.status, reply.body.decode()) == (200, ANSWER)
    assert simulator.received(marker)["body"]["messages"] == messages
