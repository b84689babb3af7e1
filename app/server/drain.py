"""A worker's start, and its graceful shutdown: gunicorn has no hook for that, and would kill the streams."""

import gc
import signal
from typing import Any

import gevent

from .. import streaming
from . import worker as connections


def post_fork(server: Any, worker: Any) -> None:
    """Handle SIGTERM from the fork on, also one that came since: gunicorn would lose it, and kill the worker later."""
    signal.signal(signal.SIGTERM, worker.handle_exit)
    while not server.SIG_QUEUE.empty():
        if server.SIG_QUEUE.get() == signal.SIGTERM:
            worker.handle_exit(signal.SIGTERM, None)


def post_worker_init(worker: Any) -> None:
    """Start the greenlet that waits for the shutdown, and exempt from garbage collection what exists by now."""
    gevent.spawn(_drain, worker)
    gc.collect()
    gc.freeze()  # the application lives as long as the process: scanning it again and again took a tenth of the time


def _drain(worker: Any) -> None:
    """Wait for the shutdown; then let the chats end until DRAIN_SECONDS are over, and end the rest."""
    while worker.alive:
        gevent.sleep(0.1)
    running = streaming.of_this_process()
    for streams in running:
        streams.drain()
    gevent.get_hub().loop.run_callback(connections.close_idle)
    gevent.sleep(max((streams.drain_seconds for streams in running), default=0))
    while True:  # a chat whose body was still coming begins only now
        for streams in running:
            streams.end()
        gevent.sleep(0.1)
