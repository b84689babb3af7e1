"""The stores and the proxy that the tests run: what is said of them holds, or the tests that kill them show nothing."""

import shutil
import socket
import subprocess
import sys
from contextlib import suppress
from functools import partial

import psycopg
import pytest
import redis

from tests import servers
from tests.processes import ROOT, wait_for
from tests.servers import Server

QUESTIONS = {"postgres": (b"\0\0\0\x08\x04\xd2\x16\x2f", b"N"), "redis_server": (b"PING\r\n", b"-NOAUTH")}
"""What either answers to a stranger: PostgreSQL that it has no TLS, Redis that it wants a password."""


def test_postgres_comes_back_at_the_same_url_with_its_rows(postgres: Server, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as before:
        before.execute("CREATE TABLE kept AS SELECT 7 AS number")
        before.commit()
        with postgres.stopped(), pytest.raises(psycopg.OperationalError):
            psycopg.connect(postgres_url)
        with pytest.raises(psycopg.OperationalError):
            before.execute("SELECT 1")
    with psycopg.connect(postgres_url) as after:
        assert after.execute("SELECT number FROM kept").fetchall() == [(7,)]


def test_redis_comes_back_at_the_same_url_empty(redis_server: Server, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set("counted", 7)
        with redis_server.stopped(), pytest.raises(redis.ConnectionError):
            client.ping()
        assert client.keys() == []


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_paused_server_accepts_and_is_silent_until_resumed(request: pytest.FixtureRequest, name: str) -> None:
    server: Server = request.getfixturevalue(name)
    question, answer = QUESTIONS[name]
    with server.paused(), asked(server, question, 0.5) as sock, pytest.raises(TimeoutError):
        sock.recv(9)
    with asked(server, question) as sock:
        assert sock.recv(9).startswith(answer)


def test_a_stopped_or_paused_server_runs_for_the_next_test(postgres: Server, redis_server: Server) -> None:
    with servers.database(postgres):
        postgres.stop()
    with servers.database(postgres):
        postgres.pause()
    for server in (postgres, redis_server):
        server.stop()
        server.start()
        server.start()
        assert server.is_up()


def asked(server: Server, question: bytes, seconds: float = 30) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", server.port), seconds)
    sock.sendall(question)
    return sock


def test_the_proxy_skips_a_lost_instance_but_repeats_nothing() -> None:
    request = b"POST /api/chat/openai HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}"
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0.2)
        with servers.nginx(one.getsockname()[1], other.getsockname()[1]) as proxy:
            with asked(proxy, request) as sock:
                with one.accept()[0] as taken:
                    assert taken.recv(99), "and then it dies"
                assert sock.recv(99).startswith(b"HTTP/1.1 502 ")
            with pytest.raises(TimeoutError):
                other.accept()
            one.close()
            other.settimeout(30)
            for _ in range(2):
                with asked(proxy, request), other.accept()[0] as taken:
                    assert taken.recv(99).startswith(b"POST /api/chat/openai HTTP/1.1\r\n")


def test_no_server_outlives_a_killed_process_that_started_it() -> None:
    command = [sys.executable, "-m", "tests.killed"]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    started = [line.split() for line in killed.stdout.splitlines()]
    assert len(started) == 3, killed.stderr
    for port, folder in started:
        wait_for(partial(is_closed, int(port)), 10)
        shutil.rmtree(folder, ignore_errors=True)  # it may be taking its own files away


def is_closed(port: int) -> bool:
    with suppress(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return False
    return True
