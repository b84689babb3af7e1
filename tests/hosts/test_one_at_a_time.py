"""A server that answers one request at a time is named in its log at the first chat, and one that does not is not."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests import servers
from tests.client import chat
from tests.hosts import page
from tests.processes import Processes, Service, wait_for

GUNICORN = "gunicorn --config /dev/null --no-control-socket"
LINES = {
    "sync": f"{GUNICORN} --worker-class sync wsgi:app",
    "sync with the conf": "gunicorn --worker-class sync wsgi:app",
    "gthread": f"{GUNICORN} --worker-class gthread wsgi:app",
    "waitress": "waitress-serve --threads 1 --listen 127.0.0.1:{port} wsgi:app",
    "uwsgi": f"{servers.program('uwsgi_python3')} --ini {{folder}}/uwsgi.ini --no-orphans",
}
WARNING = "Server: It answers one request at a time in each process, so that one chat holds up everybody else."


def warnings(service: Service) -> int:
    """Return how often the log says so before the second of two chats is in it."""
    for _ in range(2):
        assert chat(service, "openai", "demo").status == 200
    wait_for(lambda: service.log.read_text().count('"event":"chat"') >= 2)
    return service.log.read_text().count(WARNING)


@pytest.fixture(scope="module")
def started(
    tmp_path_factory: pytest.TempPathFactory, environment: Mapping[str, str]
) -> Iterator[dict[str, Future[Service]]]:
    """All of them, started at once."""
    with ExitStack() as stack:
        folder = stack.enter_context(servers.own_folder({}))
        text = page.block("ini", "http-socket").replace("threads = 100", "threads = 1")
        (folder / "uwsgi.ini").write_text(page.here(text, "$(PORT)", page.system_environment(folder / "python")))
        starters = stack.enter_context(ThreadPoolExecutor())
        own = {name: stack.enter_context(Processes(tmp_path_factory.mktemp("one"))) for name in LINES}
        yield {
            name: starters.submit(own[name].fresh_service, environment, line.replace("{folder}", str(folder)))
            for name, line in LINES.items()
        }


@pytest.mark.parametrize("name", LINES)
def test_one_thread_is_told_once(started: dict[str, Future[Service]], name: str) -> None:
    service = started[name].result()
    wait_for(lambda: warnings(service))  # by another thread than the chats' lines
    assert warnings(service) == 1


def test_the_server_that_is_deployed_is_not_named(service: Service) -> None:
    assert warnings(service) == 0
    assert "Server:" not in service.log.read_text()
