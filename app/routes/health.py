"""Liveness and readiness: whether the process runs, and whether it can serve requests."""

from flask import Blueprint, Response, jsonify

from ..failure import Code, Failure
from .service import Service


def blueprint(service: Service) -> Blueprint:
    """Make the routes `/healthz` and `/readyz`."""
    routes = Blueprint("health", __name__)

    @routes.get("/healthz")
    def alive() -> Response:
        return jsonify(status="ok")

    @routes.get("/readyz")
    def ready() -> Response:
        if service.streams.draining:
            raise Failure(Code.DRAINING, "The service is restarting.")
        service.store.database.check()
        limiter = service.limiter
        limits = {"counted": "in Redis" if limiter.shared else "in this process", "fallbacks": limiter.fallbacks}
        return jsonify(status="ready", limits=limits)

    return routes
