"""Whether the process is alive, and whether it can be given work."""

from flask import Blueprint, Response, jsonify

from app.answer import Failure
from app.store import Store
from app.streaming import Streams


def blueprint(store: Store, streams: Streams) -> Blueprint:
    """Make the routes `/healthz` and `/readyz`."""
    routes = Blueprint("health", __name__)

    @routes.get("/healthz")
    def alive() -> Response:
        return jsonify(status="ok")

    @routes.get("/readyz")
    def ready() -> Response:
        if streams.draining:
            raise Failure(503, "draining", "The service is restarting.", {"Retry-After": "5"})
        store.check()
        return jsonify(status="ready")

    return routes
