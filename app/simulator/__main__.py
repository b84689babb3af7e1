"""The simulator's command."""

import argparse
import asyncio
import sys

from . import faults
from .desk import KEPT, Desk
from .dialects import DIALECTS
from .server import serve

_ABOUT = "A model provider on this machine: it speaks four dialects truly, and misbehaves on request."
_MORE = """\
base URLs:
{bases}

other paths:
  GET /requests     the last {kept} requests to the base URLs; DELETE forgets them
  GET /             says that the simulator is ready

faults, as suffixes of the model's (or the deployment's) name, as in gpt-4o@status-429@retry-7, and of the key
where the models are listed:
{faults}

Any key is accepted but the refused ones. A model named unknown... or missing... does not exist.
"""


def main() -> int:
    """Serve until told to stop; return the exit status."""
    options = _parser().parse_args()
    desk = Desk(frozenset(options.refuse or ["wrong-key"]), options.pace / 1000)
    try:
        asyncio.run(serve(options.host, options.port, desk, lambda port: _listening(options.host, port)))
    except OSError as error:
        reason = (error.strerror or str(error)).rpartition(": ")[2]
        sys.stderr.write(f"The simulator cannot listen on {options.host}:{options.port}: {reason}.\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    origin = "http://127.0.0.1:9100"
    bases = "\n".join(f"  {name:<9} {origin}{dialect.base}" for name, dialect in DIALECTS.items())
    parser = argparse.ArgumentParser(
        prog=f"python -m {__package__}",
        description=_ABOUT,
        epilog=_MORE.format(bases=bases, kept=KEPT, faults=faults.table()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: %(default)s)")
    parser.add_argument("--port", default=9100, type=int, help="0 takes any free port (default: %(default)s)")
    parser.add_argument("--refuse", action="append", metavar="KEY", help="a wrong key; repeatable (default: wrong-key)")
    parser.add_argument("--pace", default=0.0, type=float, metavar="MS", help="between two events (default: 0)")
    return parser


def _listening(host: str, port: int) -> None:
    sys.stdout.write(f"Simulator listening on http://{host}:{port}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
