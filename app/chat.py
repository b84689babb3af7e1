"""The one chat view: read, know, ask, stream."""

from contextlib import ExitStack

from flask import Blueprint, Request, Response, request

from app import auth, body, errors, schemas, streaming
from app.answer import Failure
from app.config import Settings
from app.question import Profile, Provider
from app.record import Record
from app.store import Store
from app.streaming import Streams
from app.upstream import Upstream, asking
from app.wire import WIRES, Wire


def blueprint(provider: Provider, settings: Settings, store: Store, upstream: Upstream, streams: Streams) -> Blueprint:
    """Make the route `/api/chat/<provider>`."""
    routes = Blueprint(f"chat-{provider.name}", __name__)

    @routes.post(f"/api/chat/{provider.name}")
    def chat() -> Response:
        with ExitStack() as resources:
            wire = _wire(request)
            record = resources.enter_context(Record(errors.request_id(), provider.name, wire.MODE))
            user = auth.identify(request)
            watch = resources.enter_context(streams.seat(request.environ))
            asked = schemas.read(body.read_json(request, settings))
            record.model = asked.model
            profile = Profile(user, store.settings(user), settings.provider_environment)
            _require_key(provider, profile)
            watch.start()
            record.asking.wait = watch.wait
            asking.begin(record.asking)
            answer = provider.ask(asked, profile, upstream)
            resources.callback(answer.close)
            return streaming.respond(answer, wire, watch, record, resources)

    return routes


def _require_key(provider: Provider, profile: Profile) -> None:
    if not profile.get(provider.key.name):
        message = f"{provider.label} API Key not found. Please set it in your profile settings."
        raise Failure(400, "missing_key", message)


def _wire(request: Request) -> Wire:
    """Choose the protocol that the client prefers; a wildcard chooses nothing."""
    accepted = [media_type.lower() for media_type, quality in request.accept_mimetypes if quality > 0]
    return WIRES[next((media_type for media_type in accepted if media_type in WIRES), "text/plain")]
