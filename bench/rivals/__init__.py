"""The servers that are measured, each in a file of its own."""

from bench.rivals import litellm, naive, nginx, pydantic_ai, sluice

KINDS = {kind.name: kind for kind in (sluice.KIND, sluice.UI, nginx.KIND, naive.KIND, litellm.KIND, pydantic_ai.KIND)}
"""In the order of the table."""
