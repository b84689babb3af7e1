"""The one chat view: know, read, ask, stream."""

from contextlib import ExitStack
from functools import partial

from flask import Blueprint, Request, Response, after_this_request, request
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from . import body, errors, schemas, streaming
from .question import Chat, Profile, Provider, require_key
from .record import Record
from .service import Service
from .upstream import asking
from .wire import WIRES, Wire

MAX_ACCEPT_CHARACTERS = 1024
"""How much is read of what the client would accept: taking it apart is the dearest of all headers."""


def blueprint(provider: Provider, service: Service) -> Blueprint:
    """Make the route `/api/chat/<provider>`."""
    routes, settings = Blueprint(f"chat-{provider.name}", __name__), service.settings

    @routes.post(f"/api/chat/{provider.name}")
    def chat() -> Response:
        with ExitStack() as resources:
            resources.enter_context(service.streams.request())
            record = resources.enter_context(Record(errors.request_id(), provider.name))
            record.user = user = service.login.user(request)
            wire = _wire(request)
            record.mode = wire.MODE
            watch = resources.enter_context(service.streams.seat(request.environ))
            service.limiter.hit(user)
            resources.enter_context(service.limiter.slot(user))
            announced = min(request.content_length or 0, settings.max_body_bytes)
            with service.bodies.share(user, announced) as grow:  # until the provider has it, and nothing here any more
                asked = schemas.read(
                    body.read_json(request, settings.max_body_bytes, settings.body_timeout_seconds, grow)
                )
                record.model = asked.model
                profile = _profile(service, user)
                require_key(provider, profile)
                record.key_source = _tell_source(provider, profile)
                watch.start()
                record.asking.wait = watch.wait
                asking.begin(record.asking)
                answer = provider.ask(asked, profile, service.upstream)
            resources.callback(answer.close)
            response = streaming.respond(answer, _frames(wire, asked, service), watch, record, resources)
            response.headers.update(wire.HEADERS)
            return response

    return routes


def _profile(service: Service, user: str) -> Profile:
    settings = service.settings
    return Profile(user, service.store.profiles.settings(user), settings.provider_environment, settings.key_policy)


def _tell_source(provider: Provider, profile: Profile) -> str:
    """Say in the response's headers, a refusal's too, whose key the provider is asked with."""
    source = "profile" if profile.is_own(provider.key.name) else "environment"

    @after_this_request
    def tell(response: Response) -> Response:
        response.headers["X-Key-Source"] = source
        return response

    return source


def _frames(wire: Wire, asked: Chat, service: Service) -> streaming.Frames:
    """Tell the protocol what it may say of an answer that ends short."""
    return partial(wire.frames, notes=service.settings.text_notes == "yes", limited=asked.max_tokens is not None)


def _wire(request: Request) -> Wire:
    """Choose the protocol that the client prefers; a wildcard chooses nothing."""
    header = request.headers.get("Accept", "")[:MAX_ACCEPT_CHARACTERS]
    accepted = [media_type.lower() for media_type, quality in parse_accept_header(header, MIMEAccept) if quality > 0]
    return WIRES[next((media_type for media_type in accepted if media_type in WIRES), "text/plain")]
