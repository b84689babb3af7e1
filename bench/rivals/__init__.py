"""The servers that are measured, each in a file of its own."""

from bench.rivals import litellm, naive, nginx, sluice

KINDS = {kind.name: kind for kind in (sluice.KIND, nginx.KIND, naive.KIND, litellm.KIND)}
"""In the order of the table."""
