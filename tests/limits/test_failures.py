"""Every way in which Redis can fail: done without at once, and no chat is the worse for it."""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import Any
from urllib.parse import quote

import pytest
import trustme
from redis import Redis

from app.limits import Limiter
from tests.far import Far, Peer
from tests.far.scripts import full_listener
from tests.machine import slack
from tests.processes import free_port, wait_for
from tests.servers import PASSWORD, Server

from .conftest import Make
from .limiters import BEGIN, GEVENT, SOON, hits, printed, refused, seats, took, warnings


def assert_counted_here(limiter: Limiter) -> None:
    """See that both limits hold in the process, whose Redis cannot be used, and cost nobody time."""
    assert took(lambda: limiter.hit("user")) < SOON * slack()
    assert took(lambda: hits(limiter)) < SOON * slack()
    assert refused(lambda: limiter.hit("user")) > 50
    with limiter.slot("user"):
        assert took(lambda: seats(limiter)) < SOON * slack()
        assert seats(limiter) == 1
    assert hits(limiter, "other") == 5
    assert (limiter.shared, limiter.fallbacks) == (False, 1)


@contextmanager
def stopped(redis: Server) -> Iterator[str]:
    with redis.stopped():
        yield redis.url


@contextmanager
def paused(redis: Server) -> Iterator[str]:
    with redis.paused():
        yield redis.url


@contextmanager
def unreachable(_: Server) -> Iterator[str]:
    """Have nobody take the connection."""
    with full_listener() as port:
        yield f"redis://:{PASSWORD}@127.0.0.1:{port}"


@contextmanager
def unknown(_: Server) -> Iterator[str]:
    """Have a name that takes its time not to be found."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", lambda *_, **__: sleep(2))
        yield f"redis://:{PASSWORD}@nowhere.invalid"


@contextmanager
def locked(redis: Server) -> Iterator[str]:
    """Have the wrong password."""
    yield redis.url.replace("canary", "kanary")


@contextmanager
def tls_is_missing(redis: Server) -> Iterator[str]:
    yield redis.url.replace("redis://", "rediss://")


@contextmanager
def other_than_redis(*answer: bytes) -> Iterator[str]:
    """Have a server that answers these bytes, one part after the other, to whatever it is asked."""

    def script(peer: Peer) -> None:
        peer.first()
        for part in answer:
            peer.send(part)
            peer.wait(0.05)
        peer.wait()

    with Far() as server:
        yield f"redis://127.0.0.1:{server.play(*[script] * 20).port}"


def onward_to(redis: Server) -> Callable[[Peer], None]:
    """Return a script that passes everything on to Redis."""

    def script(peer: Peer) -> None:
        with socket.create_connection(("127.0.0.1", redis.port)) as onward:
            peer.pass_on(onward)

    return script


@contextmanager
def http(_: Server) -> Iterator[str]:
    with other_than_redis(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n") as url:
        yield url


@contextmanager
def trickling(_: Server) -> Iterator[str]:
    """Have an answer that comes byte by byte, none of them too late."""
    with other_than_redis(*[b"$", b"1", b"0", b"\r", b"\n", b"a"]) as url:
        yield url


@contextmanager
def repeating(_: Server) -> Iterator[str]:
    """Have an old server, which knows no users, and says what it did not understand."""
    with other_than_redis(
        b"-ERR unknown command `AUTH`, with args beginning with: `%s`\r\n" % PASSWORD.encode()
    ) as url:
        yield url.replace("redis://", f"redis://:{quote(PASSWORD)}@")


FAILING = [stopped, paused, unreachable, unknown, locked, tls_is_missing, http, trickling, repeating]


@pytest.mark.parametrize("failing", FAILING)
def test_a_redis_that_fails_is_done_without_at_once(
    make: Make, redis_server: Server, caplog: pytest.LogCaptureFixture, failing: Callable[[Server], Any]
) -> None:
    redis_server.start()
    with failing(redis_server) as url:
        assert_counted_here(make(url, rate_limit="5/minute", max_streams_per_user=2))
        assert warnings(caplog) == ["Redis cannot be used"]


@pytest.mark.parametrize("answer", [b":1", b":0", b"+yes", b"$-1", b"*0", b"$3\r\n\xff\xfe\xfd", b"-"])
def test_whatever_is_answered_is_an_answer_or_a_failure_of_redis(make: Make, answer: bytes) -> None:
    with other_than_redis((answer + b"\r\n") * 20) as url:
        limiter = make(url, rate_limit="5/minute", max_streams_per_user=2)
        assert hits(limiter) in {0, 5}
        assert seats(limiter) in {0, 2}


@pytest.fixture
def administrator(redis_server: Server, redis_url: str) -> Iterator[Redis]:
    """One who may change how Redis is run; it is run as before afterwards."""
    with Redis.from_url(redis_url) as client:
        yield client
        client.config_set("maxmemory", 0)
        client.replicaof("NO", "ONE")


def full(client: Redis) -> None:
    client.config_set("maxmemory", 1)


def a_replica(client: Redis) -> None:
    client.replicaof("127.0.0.1", str(free_port()))


def overwritten(client: Redis) -> None:
    for key in client.scan_iter("sluice:*"):
        client.set(key, "something else")


@pytest.mark.parametrize("spoil", [full, a_replica, overwritten])
def test_a_redis_that_answers_with_errors_is_done_without(
    make: Make,
    administrator: Redis,
    redis_url: str,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[Any], None],
) -> None:
    limiter = make(redis_url, pause=60, rate_limit="5/minute", max_streams_per_user=2)
    with limiter.slot("user"):
        limiter.hit("user")
        spoil(administrator)
        assert (hits(limiter), seats(limiter)) == (4, 1)
        assert (limiter.shared, limiter.fallbacks) == (False, 1)
    assert warnings(caplog) == ["Redis cannot be used"]


def test_after_a_failure_the_name_of_redis_is_looked_up_again(make: Make, redis_server: Server, redis_url: str) -> None:
    """A server that has become a replica keeps its connections, and the name means another one."""

    def replica(peer: Peer) -> None:
        for _ in ("AUTH", "SELECT"):
            peer.first()
            peer.send(b"+OK\r\n")
        while True:
            peer.first()
            peer.send(b"-READONLY You can't write against a read only replica.\r\n")

    with Far() as name:
        name.play(replica, *[onward_to(redis_server)] * 20)
        limiter = make(redis_url.replace(f":{redis_server.port}/", f":{name.port}/"))
        limiter.hit("user")
        assert (limiter.shared, limiter.fallbacks) == (False, 1)
        wait_for(lambda: limiter.shared)


def test_a_distant_redis_is_used_once_the_connection_is_made(make: Make, redis_server: Server, redis_url: str) -> None:
    """Each connection is answered only after a while, longer than anybody waits."""
    pass_on = onward_to(redis_server)

    def far(peer: Peer) -> None:
        peer.wait(0.2)
        pass_on(peer)

    with Far() as server:
        server.play(*[far] * 20)
        limiter = make(redis_url.replace(f":{redis_server.port}/", f":{server.port}/"))
        limiter.hit("user")
        assert (limiter.shared, limiter.fallbacks) == (False, 1)
        wait_for(lambda: limiter.shared)


UNKNOWN = """
import socket
socket.getaddrinfo = lambda *_, **__: time.sleep(20)
started = time.monotonic()
limiter.hit("user")
with limiter.slot("user"):
    print(time.monotonic() - started, limiter.fallbacks, flush=True)
os._exit(0)
"""


def test_no_greenlet_waits_for_a_name_that_is_slow_to_be_found() -> None:
    seconds, fallbacks = printed(GEVENT + BEGIN + UNKNOWN, "redis://nowhere.invalid")[0].split()
    assert float(seconds) < SOON * slack()
    assert fallbacks == "1"


IS_USED = {"": False, "?ssl_cert_reqs=none": True, "?ssl_ca_certs={}": True}


@pytest.mark.parametrize("options", IS_USED)
def test_the_tls_name_of_redis_is_checked_unless_the_url_says_no(
    make: Make, redis_server: Server, redis_url: str, tmp_path: Path, options: str
) -> None:
    """Nobody has signed the certificates of Heroku's, whose users are told to look at none."""
    authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    with Far(tls) as server:
        server.play(*[onward_to(redis_server)] * 20)
        url = redis_url.replace("redis:", "rediss:").replace(f":{redis_server.port}/", f":{server.port}/")
        limiter = make(url + options.format(tmp_path / "ca.pem"))
        wait_for(lambda: limiter.shared == IS_USED[options])
