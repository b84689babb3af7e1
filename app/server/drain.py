"""How a worker begins, and how it ends when it is told to, for which gunicorn has no hook: it kills streams."""

import gc
import signal
from typing import Any

import gevent

from .. import streaming
from . import worker as connections


def post_fork(server: Any, worker: Any) -> None:
    """Take SIGTERM from the fork on, and what came in the moment since: gunicorn would lose it, and kill at the end."""
    signal.signal(signal.SIGTERM, worker.handle_exit)
    while not server.SIG_QUEUE.empty():
        if server.SIG_QUEUE.get() == signal.SIGTERM:
            worker.handle_exit(signal.SIGTERM, None)


def post_worker_init(worker: Any) -> None:
    """Begin to serve, and wait for the end."""
    gevent.spawn(_drain, worker)
    gc.collect()
    gc.freeze()  # What was made by now stays: to look through it again and again took a tenth of the worker's time.


def _drain(worker: Any) -> None:
    while worker.alive:
        gevent.sleep(0.1)
    running = streaming.of_this_process()
    for streams in running:
        streams.drain()
    gevent.get_hub().loop.run_callback(connections.give_up_idle)
    gevent.sleep(max((streams.drain_seconds for streams in running), default=0))
    while True:  # a chat whose body was still coming begins only now
        for streams in running:
            streams.end()
        gevent.sleep(0.1)
