"""Every row of the fault catalogue, against the service as it is shipped, in scaled time.

The provider is tests/far: it plays what a test scripts for a model, and keeps what it was asked and when it was let go.
`sluice` is the service under the Procfile's line: it asks, it reads the log, and it looks into the worker. `expect`
says how an answer may end. What holds of every row is in `conftest`.
"""

STALLED = "name.stalls.test"
"""A name whose look-up stalls, in a service that is observed."""

STALL_SECONDS = 1.5
