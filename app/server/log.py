"""gunicorn's log, for which nobody waits, and which tells nothing of what clients sent."""

import logging
from typing import Any

from gunicorn.glogging import Logger as GunicornLogger

from ..log import LogStream


class Logger(GunicornLogger):
    """gunicorn's logger."""

    def setup(self, cfg: Any) -> None:
        """Make the handlers that the settings ask for, and take those for the standard streams off these."""
        super().setup(cfg)
        for log, name in ((self.error_log, "stderr"), (self.access_log, "stdout")):
            for handler in log.handlers:
                if type(handler) is logging.StreamHandler:
                    handler.setStream(LogStream(name, "%d lines of gunicorn's log were lost: nobody took them."))
        if _without_request not in self.error_log.filters:
            self.error_log.addFilter(_without_request)


def _without_request(record: logging.LogRecord) -> bool:
    """Log that a request was no HTTP, but nothing of it: what stands in the wrong place may be a token."""
    if str(record.msg).startswith("Invalid request from ip="):
        record.msg = record.msg.partition(": ")[0]
    return True
