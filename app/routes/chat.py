"""The one chat view: it identifies the user, reads the chat, asks the provider, and streams the answer."""

from collections.abc import Iterator
from contextlib import closing
from functools import partial

from flask import Blueprint, Request, Response, after_this_request, g, request
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from ..chat import Chat
from ..protocols import DEFAULT, PROTOCOLS, ClientProtocol
from ..providers import Provider, Sources, account_for
from ..record import Record
from ..streaming import Stream
from . import body, errors
from .service import Service

MAX_ACCEPT_CHARACTERS = 1024
"""How much of an `Accept` header is read: no other header is as expensive to parse."""


def blueprint(provider: Provider, service: Service) -> Blueprint:
    """Make the route `/api/chat/<provider>`."""
    routes, settings = Blueprint(f"chat-{provider.name}", __name__), service.settings

    @routes.post(f"/api/chat/{provider.name}")
    def serve() -> Response:
        with Stream() as stream:
            stream.hold(service.streams.counted())
            record = stream.hold(Record(errors.request_id(), provider.name, service.sinks))
            record.user = user = service.login.user(request)
            g.protocol = protocol = _protocol(request)
            record.mode = protocol.MODE
            watch = stream.hold(service.streams.slot(request.environ))
            service.limiter.hit(user)
            stream.hold(service.limiter.slot(user))
            announced = min(request.content_length or 0, settings.max_body_bytes)
            with service.bodies.share(user, announced) as grow:  # until the body has been sent on
                chat = protocol.read(
                    body.read_json(request, settings.max_body_bytes, settings.body_timeout_seconds, grow)
                )
                record.model = chat.model
                sources = service.sources(user)
                record.key_source = _tell_source(provider, sources)
                account = account_for(provider, *sources, user=user, model=chat.model)
                watch.start()
                path, sent = provider.request(chat, account)
                answer = service.upstream.ask(
                    account, provider.dialect, path, sent, wait=watch.wait, trace=record.trace
                )
                stream.hold(closing(answer))
            response = stream.respond(answer, _frames(protocol, chat, service), watch, record)
            response.headers.update(protocol.HEADERS)
            return response

    return routes


def _tell_source(provider: Provider, sources: Sources) -> str | None:
    """Name the source of the key, if there is one, in the headers of the response, also of an error."""
    source = next(iter(sources.ranked(provider, provider.key)), None)
    if source is None:
        return None

    @after_this_request
    def tell(response: Response) -> Response:
        response.headers["X-Key-Source"] = source
        return response

    return source


def _frames(protocol: ClientProtocol, chat: Chat, service: Service) -> partial[Iterator[bytes]]:
    """Return the protocol's `frames`, with its options for an answer that ends short."""
    return partial(protocol.frames, notes=service.settings.text_notes == "yes", limited=chat.max_tokens is not None)


def _protocol(request: Request) -> ClientProtocol:
    """Choose the first protocol that the client accepts; a wildcard chooses none, but the default."""
    header = request.headers.get("Accept", "")[:MAX_ACCEPT_CHARACTERS]
    accepted = [media_type.lower() for media_type, quality in parse_accept_header(header, MIMEAccept) if quality > 0]
    return next((PROTOCOLS[media_type] for media_type in accepted if media_type in PROTOCOLS), DEFAULT)
