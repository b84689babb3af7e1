"""The observed application, with the mistakes in it. Each of its answers tells which process it is from."""

import os

from flask import Response

from app.providers import PROVIDERS
from tests.faults import mistakes

PROVIDERS[mistakes.PROVIDER.name] = mistakes.PROVIDER  # before the application is made, with the next import

from tests.faults import observed  # noqa: E402, F401 - it looks into the application when it is imported
from wsgi import app  # noqa: E402

app.get("/sleep")(mistakes.sleep)
app.get("/compute")(mistakes.compute)


@app.after_request
def tell(response: Response) -> Response:
    """Name the worker."""
    response.headers["X-Worker"] = str(os.getpid())
    return response
