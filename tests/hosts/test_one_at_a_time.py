"""A server that answers one request at a time is named in its log at the first chat, and one that does not is not."""

from collections.abc import Mapping

import pytest

from tests import servers
from tests.client import chat
from tests.hosts import page
from tests.processes import Processes, Service, stop

GUNICORN = "gunicorn --config /dev/null --no-control-socket"
LINES = {
    "sync": f"{GUNICORN} --worker-class sync wsgi:app",
    "sync with the conf": "gunicorn --worker-class sync wsgi:app",
    "gthread": f"{GUNICORN} --worker-class gthread wsgi:app",
    "waitress": "waitress-serve --threads 1 --listen 127.0.0.1:{port} wsgi:app",
}
WARNING = "Server: It answers one request at a time in each process, so that one chat holds up everybody else."


def warnings(service: Service) -> int:
    """Return how often the log says so after two chats."""
    for _ in range(2):
        assert chat(service, "openai", "demo").status == 200
    return service.log.read_text().count(WARNING)


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_one_thread_is_told_once(processes: Processes, environment: Mapping[str, str], line: str) -> None:
    assert warnings(processes.fresh_service(environment, line)) == 1


def test_uwsgi_s_one_thread_is_told_once(processes: Processes, environment: Mapping[str, str]) -> None:
    with servers.own_folder({}) as folder:
        text = page.block("ini", "http-socket").replace("threads = 100", "threads = 1")
        (folder / "uwsgi.ini").write_text(page.here(text, "$(PORT)", page.system_environment(folder / "python")))
        line = f"{servers.program('uwsgi_python3')} --ini {folder}/uwsgi.ini --no-orphans"
        service = processes.fresh_service({**environment, "PYTHONUNBUFFERED": "1"}, line)
        assert warnings(service) == 1
        stop(service.process)


def test_the_server_that_is_deployed_is_not_named(service: Service) -> None:
    assert warnings(service) == 0
    assert "Server:" not in service.log.read_text()
