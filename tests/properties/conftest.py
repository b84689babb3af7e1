"""What must hold for every input: Hypothesis makes the inputs, and the smallest that breaks a rule is the message.

The inputs are the same in every run. To look for others: HYPOTHESIS_PROFILE=search pytest tests/properties
"""

import os

from hypothesis import HealthCheck, settings

# No deadline and no check for slowness: neither a busy machine nor coverage is a defect.
settings.register_profile(
    "fixed",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=150,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("search", settings.get_profile("fixed"), derandomize=False, max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))
