"""The log where nobody takes it, takes it too slowly, or has closed it: who writes to it never waits."""

import fcntl
import json
import logging
import os
import shlex
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import IO

import pytest

from app import log
from app.log import LogStream
from tests.machine import slack
from tests.processes import (
    ROOT,
    Service,
    environment_without,
    free_port,
    healthy,
    procfile,
    stop,
    wait_for,
)

LOST = "%d lines were lost."
PIPE = 4096
"""Bytes: the smallest pipe that there is."""


@contextmanager
def small_pipe() -> Iterator[tuple[IO[bytes], int]]:
    """Return what reads from a pipe, and the descriptor to write to, for whoever takes it to close."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE)
    with os.fdopen(reading, "rb") as reader:
        yield reader, writing


@contextmanager
def piped(monkeypatch: pytest.MonkeyPatch) -> Iterator[IO[bytes]]:
    """Put a small pipe in the place of the standard output, which is read only when the test does."""
    with small_pipe() as (reader, writing), os.fdopen(writing, "w") as writer, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", writer)
        yield reader


def test_lines_come_in_their_order_and_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = logging.StreamHandler(LogStream("stdout", LOST))
    lines = [f"{number} {'x' * (number % 7 * 2000)}" for number in range(60)]
    with piped(monkeypatch) as pipe:
        for line in lines:
            handler.emit(logging.LogRecord("a", logging.INFO, "", 0, line, None, None))
        assert [pipe.readline().decode().strip("\n") for _ in lines] == lines


def test_what_nobody_takes_is_counted_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "MAX_BYTES", 20 * PIPE)
    stream, line, kept = LogStream("stdout", LOST), "x" * 1000 + "\n", 0
    with piped(monkeypatch) as pipe:
        for _ in range(200):
            stream.write(line)
        while (found := pipe.readline().decode()) == line:
            kept += 1
        assert found == f"{200 - kept} lines were lost.\n"
        assert 80 <= kept < 200
        stream.write("again\n")
        assert pipe.readline() == b"again\n"


def test_a_descriptor_that_does_not_wait_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program that shares it may have made it so."""
    stream = LogStream("stdout", LOST)
    with piped(monkeypatch) as pipe:
        os.set_blocking(sys.stdout.fileno(), False)
        stream.write("x" * 50_000 + "\n")
        stream.write("the end\n")
        assert pipe.readline() == b"x" * 50_000 + b"\n"
        assert pipe.readline() == b"the end\n"


def test_a_stream_without_a_descriptor_is_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    class Captured:
        found = ""

        def write(self, text: str) -> None:
            self.found += text

        def flush(self) -> None: ...

        def fileno(self) -> int:
            raise OSError("not associated with a file descriptor")

    monkeypatch.setattr(sys, "stdout", captured := Captured())
    LogStream("stdout", LOST).write("a line\n")
    assert wait_for(lambda: captured.found) == "a line\n"


@pytest.mark.parametrize("kind", ["without a reader", "closed", "none"])
def test_a_stream_that_nobody_reads_is_silence(kind: str) -> None:
    code = f"""
import os, sys
from app.log import LogStream
reading, writing = os.pipe()
os.close(reading)
sys.stdout = None if {kind!r} == "none" else os.fdopen(writing, "w")
if {kind!r} == "closed": sys.stdout.close()
LogStream("stdout", "%d").write("a line")
LogStream("stderr", "%d").write("another")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"another")


def test_the_end_of_a_process_waits_for_its_lines_for_a_while() -> None:
    code = "from app.log import LogStream\nfor n in range(1500): LogStream('stdout', '%d').write(f'{n}\\n')"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    assert [int(line) for line in done.stdout.splitlines()] == list(range(1500))
    with small_pipe() as (_, writing):
        assert subprocess.run(command, cwd=ROOT, stdout=writing, check=False, timeout=60).returncode == 0
        os.close(writing)


def printed(code: str) -> str:
    """Return what a process prints that runs this."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, timeout=60)
    return done.stdout.decode()


def test_a_process_forked_without_hooks_has_a_log_of_its_own() -> None:
    """As uWSGI forks, in the moment when another thread writes to the log."""
    code = """
import ctypes, os, sys
from app import log
stream = log.LogStream("stdout", "%d")
stream.write("the parent's\\n")
log.flush(30)
for writer in log._writers.values():
    writer._lock.acquire()
if not (child := ctypes.PyDLL(None).fork()):
    stream.write("the child's\\n")
    log.flush(30)
    os._exit(0)
os.waitpid(child, 0)
"""
    assert printed(code) == "the parent's\nthe child's\n"


def test_a_stream_that_nobody_reads_does_not_hold_up_another() -> None:
    code = """
import os, sys
from app import log
reading, writing = os.pipe()
sys.stderr = os.fdopen(writing, "w")
errors, chats = (log.LogStream(name, "%d") for name in ("stderr", "stdout"))
for _ in range(2 * log.MAX_BYTES // 10_000):
    errors.write("x" * 10_000 + "\\n")
chats.write("a chat\\n")
"""
    assert printed(code) == "a chat\n"


def test_a_log_thread_that_did_not_start_is_tried_again() -> None:
    code = """
from app import log
starts = [lambda *_: (_ for _ in ()).throw(RuntimeError("can't start new thread")), log._start_thread]
log._start_thread = lambda *arguments: starts.pop(0)(*arguments)
for line in ("one", "two"):
    log.LogStream("stdout", "%d").write(line + "\\n")
"""
    assert printed(code) == "one\ntwo\n"


def test_a_flush_waits_for_what_is_taken_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = LogStream("stdout", LOST)
    with piped(monkeypatch) as pipe:
        stream.write("x" * 10 * PIPE + "\n")
        started = monotonic()
        log.flush(0.1)
        assert 0.1 <= monotonic() - started < 5 * slack()
        assert pipe.readline() == b"x" * 10 * PIPE + b"\n"
        log.flush(30)
        assert monotonic() - started < 20 * slack()


def test_waitress_waits_for_nobody_who_reads_its_log(tmp_path: Path) -> None:
    code = """
import logging
import wsgi
logging.basicConfig()
for _ in range(2000):
    logging.getLogger("waitress").warning("x" * 100)
print("done")
"""
    own = environment_without({"DATABASE_URL": f"sqlite:///{tmp_path}/sluice.db"})
    with small_pipe() as (_, full):
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=ROOT, env=own, stdout=subprocess.PIPE, stderr=full, check=True, timeout=120)
        os.close(full)
    assert done.stdout == b"done\n"


@pytest.mark.parametrize(
    ("host", "expected"),
    [("lastResort = None", "ours\n"), ("basicConfig()", "WARNING:app.chat:ours\n")],
)
def test_our_warnings_are_told_where_the_host_has_its_own(host: str, expected: str) -> None:
    code = f"""
import logging
from app import record
logging.{host}
before = logging.lastResort
record.start_log()
logging.getLogger("app.chat").warning("ours")
assert logging.lastResort is before
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, timeout=60)
    assert done.stderr.decode() == expected


@pytest.mark.parametrize(
    ("change", "begin"),
    [
        ("", '{"event":"chat"'),
        ("log.addFilter(lambda record: False)", ""),
        ("log.handlers[0].setFormatter(logging.Formatter('> %(message)s'))", '> {"event":"chat"'),
        ("log.addHandler(logging.StreamHandler(sys.stdout))", '{"event":"chat"'),
        ("log.setLevel(logging.WARNING)", ""),
    ],
    ids=["as it is", "filter", "formatter", "handler", "level"],
)
def test_what_a_host_changes_in_the_log_counts(change: str, begin: str) -> None:
    code = f"""
import logging, sys
from app import record
record.start_log()
log = logging.getLogger("app.record")
{change}
record.write_log_line(record.Record("request-1", "groq"))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, timeout=60)
    lines = done.stdout.decode().splitlines()
    assert [line.startswith(begin) for line in lines] == [True] * (bool(begin) + ("addHandler" in change))
    assert done.stderr == b""


@contextmanager
def serving(folder: Path, *redirection: str, out: int | None = None) -> Iterator[Service]:
    """Start the service with its log where the test has it."""
    port, nowhere = free_port(), folder / "nowhere"
    own = {"DATABASE_URL": f"sqlite:///{folder}/sluice.db", "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{port}"}
    line = ["sh", "-c", " ".join(["exec", shlex.join(procfile("web")), *redirection])]
    process = subprocess.Popen(line, cwd=ROOT, env=environment_without(own), stdout=out, stderr=out)
    nowhere.write_text("")
    service = Service(f"http://127.0.0.1:{port}", port, process, nowhere, nowhere)
    try:
        wait_for(lambda: healthy(service))
        yield service
    finally:
        stop(process)


def refused(service: Service, number: int) -> list[str]:
    """Send so many chats that are refused, each of which leaves a line; return their ids."""
    ids = [f"refused-{index}" for index in range(number)]
    for name in ids:
        headers = {"Origin": "https://evil.example", "X-Request-ID": name}
        request = urllib.request.Request(f"{service.url}/api/chat/openai", b"{}", headers)
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(request, timeout=30)
        assert error.value.code == 401
        error.value.close()
    return ids


def test_a_service_whose_log_nobody_takes_goes_on(tmp_path: Path) -> None:
    with small_pipe() as (reader, writing), serving(tmp_path, out=writing) as service:
        workers = service.pids()
        ids = refused(service, 60)
        assert service.pids() == workers
        os.close(writing)
        found: list[str] = []
        while len(found) < len(ids):
            line = reader.readline()
            found += [json.loads(line)["requestId"]] if line.startswith(b"{") else []
        assert found == ids
        refused(service, 60)
        service.process.terminate()
        assert service.process.wait(20) == 0
        rest = reader.read().splitlines()
        assert b"refused-0" in b"".join(rest)


@pytest.mark.parametrize("redirection", [">&- 2>&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_service_without_standard_streams_answers(tmp_path: Path, redirection: str) -> None:
    with small_pipe() as (reader, writing), serving(tmp_path, redirection, out=writing) as service:
        os.close(writing)
        refused(service, 3)
        service.process.terminate()
        assert service.process.wait(20) == 0
        said = reader.read()
    assert b"Traceback" not in said
    assert (b"refused-0" in said) == (">&-" not in redirection.replace("2>&-", ""))
