"""The loop that tutorials show: Flask, gunicorn's gevent worker, and the SDK's own stream."""

from bench import readers, venvs
from bench.servers import VENV, Kind, Place


def _install() -> str:
    return venvs.versions(VENV, "flask", "openai")


def _command(place: Place) -> list[str]:
    options = ["--worker-class", "gevent", "--worker-connections", "3000", "--config", "/dev/null"]
    return ["gunicorn", *options, "--bind", f"127.0.0.1:{place.port}", "bench.rivals.naive_app:app"]


def _environment(place: Place) -> dict[str, str]:
    return {"OPENAI_API_KEY": "sk-bench", "OPENAI_BASE_URL": f"http://127.0.0.1:{place.upstream}/v1"}


KIND = Kind(
    name="naive",
    about="Flask on gunicorn's gevent worker, one worker, one shared `OpenAI()` as it is, and a loop over its chunks",
    install=_install,
    command=_command,
    environment=_environment,
    read=readers.plain,
)
