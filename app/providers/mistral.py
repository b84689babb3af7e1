"""Mistral (https://docs.mistral.ai/api/#tag/chat). Its schema is strict: an unknown key anywhere is a 422.

It sends its usage unasked, and knows no `developer` role.
"""

from .. import models
from ..dialects import completions
from .provider import Provider

PROVIDER = Provider(
    name="mistral",
    label="Mistral",
    base_url="https://api.mistral.ai/v1",
    dialect=completions,
    families=models.MISTRAL,
    models=("mistral-small-latest", "mistral-large-latest"),
    quirks=completions.Quirks(developer_role="system"),
)
