"""The client's socket is the server's: it may be closed already, and is given back as it was."""

import socket

import pytest

from app.config import Settings
from app.failure import Gone
from app.streaming import Streams
from app.streaming.hosts import Client


class Channel:
    """What waitress has for a connection, as far as it shows that."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock

    def check_client_disconnected(self) -> bool:
        return True


def test_a_unix_socket_keeps_the_deadline_of_the_server() -> None:
    here, there = socket.socketpair()
    with here, there:
        here.settimeout(7)
        client = Client({"gunicorn.socket": here})
        client.limit_writes(3)
        assert here.gettimeout() == 3
        client.close()
        assert here.gettimeout() == 7


def test_a_channel_closed_before_the_view_begins_is_a_leave() -> None:
    closed = socket.socket()
    closed.close()
    environ = {"waitress.client_disconnected": Channel(closed).check_client_disconnected}
    with Streams(Settings()).slot(environ) as watch, pytest.raises(Gone):
        watch.start()
