"""Streaming: an answer and a protocol -> a response; the watch on the client, the slots, the drain."""

from .slots import Streams as Streams
from .slots import drain as drain
from .slots import of_this_process as of_this_process
from .slots import sockets as sockets
from .stream import Stream as Stream
