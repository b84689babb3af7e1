"""What is known of models, by family. Data; a model that nobody here knows is the provider's to refuse, never ours."""

import re
from typing import NamedTuple


class Family(NamedTuple):
    """Models whose name matches `pattern` from its start.

    `output_limit` is the most tokens that they write in one answer. Those that are `reasoning` take
    `max_completion_tokens` in place of `max_tokens`, and no temperature.
    """

    pattern: re.Pattern[str]
    output_limit: int | None = None
    reasoning: bool = False


_UNKNOWN = Family(re.compile(""))

OPENAI = (
    # The route's contract fixes 4096 for these two and nothing for the others.
    Family(re.compile(r"gpt-4-vision-preview$|gpt-4o$"), 4_096),
    # https://platform.openai.com/docs/guides/reasoning: max_tokens and temperature are refused with a 400.
    Family(re.compile(r"(ft:)?o\d+(-|:|$)"), reasoning=True),
    # Not gpt-35 and gpt-45, which is how Azure spells 3.5 and 4.5.
    Family(re.compile(r"gpt-(?!5-chat|35|45)([5-9]|\d\d)(\D|$)"), reasoning=True),
)

AZURE = (Family(re.compile(r"gpt-4-vision-preview$"), 4_096), *(family for family in OPENAI if not family.output_limit))

# https://console.groq.com/docs/models, "max completion tokens".
GROQ = (
    Family(re.compile(r"openai/gpt-oss-(20b|120b)$"), 65_536),
    Family(re.compile(r"qwen/qwen3-32b$"), 40_960),
    Family(re.compile(r"llama-3\.3-70b-versatile$"), 32_768),
    Family(re.compile(r"llama-3\.1-8b-instant$"), 131_072),
    Family(re.compile(r"meta-llama/llama-4-"), 8_192),
    Family(re.compile(r"llama[23]-|mixtral-8x7b-|gemma2?-\d+b-it$"), 8_192),
)

# https://docs.mistral.ai/getting-started/models: no separate output limit is published. These are what existing
# frontends send, well inside every model's context window.
MISTRAL = (
    Family(re.compile(r"mistral-tiny|open-mi[sx]tral-"), 8_192),
    Family(re.compile(r"(mistral-(small|medium|large)|ministral|magistral|codestral|pixtral|devstral)-"), 32_000),
)


def find(families: tuple[Family, ...], model: str) -> Family:
    """Return the first family that knows the model, else one that limits nothing."""
    return next((family for family in families if family.pattern.match(model)), _UNKNOWN)
