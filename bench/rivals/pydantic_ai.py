"""pydantic-ai's `VercelAIAdapter` under uvicorn, in a virtual environment of its own."""

from bench import readers, venvs
from bench.servers import CACHE, Kind, Place

_VENV = CACHE / "pydantic_ai"


def _install() -> str:
    return venvs.rival("pydantic_ai", "pydantic-ai-slim", "starlette", "uvicorn", "openai")


def _command(place: Place) -> list[str]:
    options = ["--host", "127.0.0.1", "--port", str(place.port), "--backlog", "4096"]
    log = ["--no-access-log", "--log-level", "warning"]
    return [f"{_VENV}/bin/uvicorn", "bench.rivals.pydantic_ai_app:app", *options, *log]


def _environment(place: Place) -> dict[str, str]:
    return {"OPENAI_API_KEY": "sk-bench", "OPENAI_BASE_URL": f"http://127.0.0.1:{place.upstream}/v1"}


def ui_chat(prompt: str) -> dict[str, object]:
    """Return the body that the AI SDK's `useChat` sends."""
    message = {"id": "msg-bench", "role": "user", "parts": [{"type": "text", "text": prompt}]}
    return {"id": "chat-bench", "trigger": "submit-message", "messages": [message]}


KIND = Kind(
    name="pydantic-ai",
    about="its `VercelAIAdapter` on Starlette, uvicorn with uvloop and httptools, one worker; the AI SDK's UI stream",
    install=_install,
    command=_command,
    environment=_environment,
    read=readers.ui,
    chat=ui_chat,
    slow=True,
)
