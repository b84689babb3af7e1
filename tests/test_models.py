"""What is sent for which model."""

from typing import Any

import pytest

from app import models
from app.chat import Chat
from app.dialects import completions
from app.models import AZURE, GROQ, MISTRAL, OPENAI, Family, find
from app.upstream.account import Account

HELLO = [{"role": "user", "content": "Hello?"}]


def sent(
    families: tuple[Family, ...], model: str, temperature: float | None = None, most: int | None = None
) -> dict[str, Any]:
    """Return what is sent but for the model and the messages, which are always those of the chat."""
    path, found = completions.request(
        Chat(model, HELLO, temperature, most), Account("Groq", "", "key"), find(families, model)
    )
    assert (path, found.pop("stream")) == ("/chat/completions", True)
    assert (found.pop("model"), found.pop("messages")) == (model, HELLO)
    return found


LIMITS: list[tuple[tuple[Family, ...], str, int | None]] = [
    (OPENAI, "gpt-4-vision-preview", 4096),
    (OPENAI, "gpt-4o", 4096),
    (OPENAI, "gpt-4o-mini", None),
    (OPENAI, "gpt-4o-2024-08-06", None),
    (OPENAI, "gpt-4-vision-preview-2", None),
    (OPENAI, "my-gpt-4o", None),
    (OPENAI, "gpt-4", None),
    (OPENAI, "gpt-4-turbo-preview", None),
    (OPENAI, "gpt-3.5-turbo", None),
    (OPENAI, "demo", None),
    (AZURE, "gpt-4-vision-preview", 4096),
    (AZURE, "gpt-4o", None),
    (AZURE, "gpt-3.5-turbo", None),
    (AZURE, "demo", None),
    (GROQ, "openai/gpt-oss-20b", 65_536),
    (GROQ, "openai/gpt-oss-120b", 65_536),
    (GROQ, "qwen/qwen3-32b", 40_960),
    (GROQ, "llama-3.3-70b-versatile", 32_768),
    (GROQ, "llama-3.1-8b-instant", 131_072),
    (GROQ, "meta-llama/llama-4-scout-17b-16e-instruct", 8192),
    (GROQ, "llama3-8b-8192", 8192),
    (GROQ, "llama2-70b-4096", 8192),
    (GROQ, "mixtral-8x7b-32768", 8192),
    (GROQ, "gemma-7b-it", 8192),
    (GROQ, "gemma2-9b-it", 8192),
    (GROQ, "llama-9", None),
    (GROQ, "demo", None),
    (MISTRAL, "mistral-tiny", 8192),
    (MISTRAL, "open-mistral-7b", 8192),
    (MISTRAL, "open-mixtral-8x22b", 8192),
    (MISTRAL, "mistral-small-latest", 32_000),
    (MISTRAL, "mistral-large-2411", 32_000),
    (MISTRAL, "magistral-medium-latest", 32_000),
    (MISTRAL, "codestral-latest", 32_000),
    (MISTRAL, "demo", None),
]


@pytest.mark.parametrize(("families", "model", "limit"), LIMITS)
def test_a_model_has_the_limit_of_its_family_if_it_is_known(
    families: tuple[Family, ...], model: str, limit: int | None
) -> None:
    assert sent(families, model) == ({} if limit is None else {"max_tokens": limit})


REASONING = [
    "o1",
    "o1-mini",
    "o3",
    "o3-mini-2025-01-31",
    "o4-mini",
    "o10",
    "gpt-5",
    "gpt-5-mini",
    "gpt-5.1",
    "gpt-6",
    "gpt-10",
    "gpt-6.2-pro",
]
TALKING = [
    "gpt-5-chat-latest",
    "gpt-5-chat",
    "gpt-4.1",
    "gpt-4o-mini",
    "gpt-3.5-turbo",
    "omni-moderation",
    "o1x",
    "chatgpt-4o-latest",
]


@pytest.mark.parametrize("families", [OPENAI, AZURE], ids=["OpenAI", "Azure"])
@pytest.mark.parametrize("model", REASONING)
def test_a_reasoning_model_has_its_own_limit_and_no_temperature(families: tuple[Family, ...], model: str) -> None:
    assert sent(families, model) == {}
    assert sent(families, model, temperature=0.5, most=100) == {"max_completion_tokens": 100}


@pytest.mark.parametrize("families", [OPENAI, AZURE], ids=["OpenAI", "Azure"])
@pytest.mark.parametrize("model", TALKING)
def test_any_other_model_takes_both(families: tuple[Family, ...], model: str) -> None:
    assert sent(families, model, temperature=0.5, most=100) == {"max_tokens": 100, "temperature": 0.5}


@pytest.mark.parametrize("families", [GROQ, MISTRAL], ids=["Groq", "Mistral"])
@pytest.mark.parametrize("model", [*REASONING, "openai/gpt-oss-20b", "magistral-medium-latest"])
def test_only_openai_treats_a_model_as_a_reasoning_one(families: tuple[Family, ...], model: str) -> None:
    assert sent(families, model, temperature=0.5, most=100) == {"max_tokens": 100, "temperature": 0.5}


@pytest.mark.parametrize("families", [OPENAI, AZURE, GROQ, MISTRAL], ids=["OpenAI", "Azure", "Groq", "Mistral"])
@pytest.mark.parametrize("model", ["gpt-4-vision-preview", "llama3-8b-8192", "mistral-tiny", "demo"])
def test_what_the_client_says_wins_and_zero_is_a_temperature(families: tuple[Family, ...], model: str) -> None:
    assert sent(families, model, temperature=0, most=1) == {"max_tokens": 1, "temperature": 0}
    assert sent(families, model, most=10_000_000) == {"max_tokens": 10_000_000}


def test_the_first_family_that_knows_a_model_is_its_family() -> None:
    assert find(OPENAI, "gpt-5-chat-latest").reasoning is False
    assert find(OPENAI, "nobody-s") == find((), "") == find(MISTRAL, "")
    assert find(OPENAI, "nobody-s").output_limit is None


@pytest.mark.parametrize("name", ["OPENAI", "AZURE", "GROQ", "MISTRAL"])
def test_limits_of_a_family_can_be_limits(name: str) -> None:
    families: tuple[Family, ...] = getattr(models, name)
    assert all(family.output_limit is None or 1024 <= family.output_limit <= 1_000_000 for family in families)


def test_the_name_of_a_model_is_never_changed() -> None:
    for model in ("GPT-4O", "gpt-4o\n", " gpt-4o", "ft:gpt-4o:org::id", "../x", "é"):
        assert sent(OPENAI, model) is not None
