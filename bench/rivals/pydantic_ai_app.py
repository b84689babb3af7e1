"""pydantic-ai's application, as its documentation has it: https://ai.pydantic.dev/ui/vercel-ai/."""

from pydantic_ai import Agent
from pydantic_ai.ui.vercel_ai import VercelAIAdapter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bench.answers import MODEL

agent = Agent(f"openai-chat:{MODEL}")


async def health(_request: Request) -> Response:
    """Say that the process is alive."""
    return PlainTextResponse("ok")


async def chat(request: Request) -> Response:
    """Ask, and pass each event on."""
    return await VercelAIAdapter.dispatch_request(request, agent=agent)


app = Starlette(routes=[Route("/", health), Route("/v1/chat/completions", chat, methods=["POST"])])
