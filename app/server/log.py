"""gunicorn's log: writing to it never blocks, and it has nothing of what a client sent in a malformed request."""

import logging
from typing import Any

from gunicorn.glogging import Logger as GunicornLogger

from ..log import LogStream


class Logger(GunicornLogger):
    """gunicorn's logger, with other streams."""

    def setup(self, cfg: Any) -> None:
        """Create the handlers of the settings, and give those for stdout and stderr a stream that does not block."""
        super().setup(cfg)
        for log, name in ((self.error_log, "stderr"), (self.access_log, "stdout")):
            for handler in log.handlers:
                if type(handler) is logging.StreamHandler:
                    handler.setStream(LogStream(name, "%d lines of gunicorn's log were lost: nobody took them."))
        if _without_request not in self.error_log.filters:
            self.error_log.addFilter(_without_request)


def _without_request(record: logging.LogRecord) -> bool:
    """Log that a request was malformed, but nothing of it: what stands in the wrong place may be a token."""
    if str(record.msg).startswith("Invalid request from ip="):
        record.msg = record.msg.partition(": ")[0]
    return True
