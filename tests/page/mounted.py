"""The service below a prefix of another application, whose own pages are one sentence."""

from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.wrappers import Request, Response

from wsgi import app as sluice


@Request.application
def host(request: Request) -> Response:
    return Response(f"The host's own {request.path}.")


app = DispatcherMiddleware(host, {"/in/sluice": sluice})
