"""The application and the simulator with one provider more, as if its file were in app/providers."""

import sys

from app.dialects import completions
from app.providers import PROVIDERS, Provider

PROVIDERS["newcomer"] = Provider(
    "newcomer", "Newcomer", "https://api.newcomer.example", completions, models=("newcomer-1",)
)  # before either is made

from app.simulator.__main__ import main  # noqa: E402
from wsgi import app  # noqa: E402, F401 - what the server serves

if __name__ == "__main__":
    sys.exit(main())
