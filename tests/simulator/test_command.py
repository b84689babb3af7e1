"""The simulator's command."""

import json
import re
import signal
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

from app.providers import PROVIDERS
from app.simulator import ANSWER, EMOJI
from app.simulator.faults import TABLE
from app.simulator.simulated import simulated_providers
from app.simulator.text import EMOJI_PIECES
from tests.processes import Simulator
from tests.raw import SECONDS

from .questions import opened, request

COMMAND = [sys.executable, "-m", "app.simulator"]


def test_help_lists_the_base_urls_and_every_fault() -> None:
    text = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True, timeout=SECONDS).stdout
    for base in ("/openai/v1", "/azure", "/groq/openai/v1", "/mistral/v1"):
        assert re.search(rf"http://127\.0\.0\.1:9100{base}$", text, re.MULTILINE)
    for fault in TABLE:
        assert re.search(rf"^  {fault.name}\S*  +{re.escape(fault.description)}$", text, re.MULTILINE)


def test_the_environment_is_a_line_of_json_behind_the_address() -> None:
    with subprocess.Popen([*COMMAND, "--port", "0", "--environment"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        address = process.stdout.readline().split()[-1]
        settings = json.loads(process.stdout.readline())
        process.terminate()
    assert list(settings) == list(PROVIDERS)
    assert settings["groq"] == {"GROQ_API_KEY": "simulated", "GROQ_BASE_URL": f"{address}/groq/openai/v1"}
    for name, provider in PROVIDERS.items():
        assert next(iter(settings[name])) == provider.key.variable
        known = {field.variable for field in (provider.key, *provider.settings)}
        assert settings[name].keys() <= known


def test_each_provider_has_a_row_at_the_path_of_its_address() -> None:
    found = {name: provider.base for name, provider in simulated_providers().items()}
    assert found == {name: f"/{name}{urlsplit(provider.base_url).path}" for name, provider in PROVIDERS.items()}


def test_a_taken_port_is_one_sentence(simulator: Simulator) -> None:
    command = [*COMMAND, "--port", str(simulator.port)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    sentence = f"The simulator cannot listen on 127.0.0.1:{simulator.port}: address already in use.\n"
    assert (run.returncode, run.stdout, run.stderr) == (1, "", sentence)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_quietly_also_in_mid_answer(number: signal.Signals) -> None:
    command = [*COMMAND, "--port", "0", "--pace", "20"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        running = Simulator(process.stdout.readline().split()[-1], process.pid)
        with opened(running, "openai", "demo") as connection:
            assert connection.take()
            process.send_signal(number)
            assert process.communicate(timeout=SECONDS) == ("", "")
    assert process.returncode == 0


def test_it_refuses_the_wrong_key_by_default_and_keeps_the_pace() -> None:
    command = [*COMMAND, "--port", "0", "--pace", "5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        own = Simulator(process.stdout.readline().split()[-1], process.pid)
        path, body = "/groq/openai/v1/chat/completions", b'{"model": "m", "messages": []}'
        assert request(own, "POST", path, body, {"Authorization": "Bearer wrong-key"}).status == 401
        assert request(own, "POST", path, body, {"Authorization": "Bearer another"}).status == 200
        process.terminate()
        assert process.wait(SECONDS) == 0


def test_the_answer_has_what_breaks_careless_readers() -> None:
    assert 50 <= len(ANSWER.split()) <= 75
    for text in ("—", "é", "漢字", "🚀"):
        assert text in ANSWER
    assert "".join(EMOJI_PIECES).encode("utf-16", "surrogatepass").decode("utf-16") == EMOJI
