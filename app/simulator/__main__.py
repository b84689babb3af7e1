"""The simulator's command."""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping

from . import faults
from .provider import SimulatedProvider
from .router import KEPT, Router
from .server import serve
from .simulated import settings, simulated_providers

_ABOUT = "Model providers on this machine: each speaks its own dialect, and misbehaves on request."
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
    simulated = simulated_providers()
    options = _parser(simulated).parse_args()
    router = Router(simulated, frozenset(options.refuse or ["wrong-key"]), options.pace / 1000)

    def listening(port: int) -> None:
        address = f"http://{options.host}:{port}"
        shown = f"{json.dumps(settings(address, simulated))}\n" if options.environment else ""
        sys.stdout.write(f"Simulator listening on {address}\n{shown}")
        sys.stdout.flush()

    try:
        asyncio.run(serve(options.host, options.port, router, listening))
    except OSError as error:
        reason = (error.strerror or str(error)).rpartition(": ")[2]
        sys.stderr.write(f"The simulator cannot listen on {options.host}:{options.port}: {reason}.\n")
        return 1
    return 0


def _parser(simulated: Mapping[str, SimulatedProvider]) -> argparse.ArgumentParser:
    origin = "http://127.0.0.1:9100"
    bases = "\n".join(f"  {name:<9} {origin}{provider.base}" for name, provider in simulated.items())
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
    parser.add_argument("--environment", action="store_true", help="show the service's settings, as a line of JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
