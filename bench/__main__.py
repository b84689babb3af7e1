"""The benchmarks' command; see `bin/bench --help`."""

import argparse
import resource
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from bench import report
from bench.against import STARTS, against
from bench.compare import compare
from bench.cpu import LOAD_CORE, on_core
from bench.honesty import honesty
from bench.lookup import lookup
from bench.measure import FULL, QUICK, WORKLOADS
from bench.rivals import KINDS
from bench.servers import CACHE, Missing
from bench.soak import CLIENTS, MINUTES, soak

RUNS = 3
MAX_DESCRIPTORS = 65536


def main() -> int:
    """Run what was asked for; return the exit status."""
    options = _parser().parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit("Interrupted"))
    _prepare()
    with tempfile.TemporaryDirectory() as folder, on_core(LOAD_CORE):
        if options.soak:
            return soak(options.minutes, Path(folder))
        if options.lookup:
            return lookup()
        plan = replace(QUICK if options.quick else FULL, workloads=tuple(options.workloads))
        if options.against:
            return against(options.against, options.runs or STARTS, plan, Path(folder))
        if options.honesty:
            return honesty(options.only, Path(folder))
        runs = options.runs or (1 if options.quick else RUNS)
        results = compare(options.only, runs, plan, Path(folder))
        report.tell(results, plan, whole=plan == FULL and options.only == [*KINDS] and runs >= RUNS)
        dishonest = honesty(options.only, Path(folder))
    wrong = sum(results.values("sluice", "wrong") + results.values("sluice", "many_wrong"))
    return 1 if wrong or dishonest or "sluice" in results.missing else 0


_ABOUT = "What an answer costs, here and with others. A whole run takes about 40 minutes and writes bench/RESULTS.md."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bin/bench", description=_ABOUT)
    parser.add_argument("--quick", action="store_true", help="less of everything, one run; writes no page")
    parser.add_argument("--only", type=_list(KINDS), default=[*KINDS], metavar="SERVERS", help=f"of {','.join(KINDS)}")
    parser.add_argument("--workloads", type=_list(WORKLOADS), default=[*WORKLOADS], help=f"of {','.join(WORKLOADS)}")
    parser.add_argument(
        "--runs", type=int, help=f"how often ({RUNS}; starts of each side against a revision: {STARTS})"
    )
    parser.add_argument(
        "--against", metavar="REV", help="this tree against another revision of it, instead of all this"
    )
    parser.add_argument("--honesty", action="store_true", help="what clients are told of a cut, instead of all this")
    parser.add_argument("--soak", action="store_true", help=f"{CLIENTS} clients, 20 %% faults, instead of all this")
    parser.add_argument("--lookup", action="store_true", help="what it costs to know who asks, instead of all this")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="how long the soak lasts (%(default)s)")
    return parser


def _list(known: Iterable[str]) -> Callable[[str], list[str]]:
    """Read a list with commas."""

    def read(text: str) -> list[str]:
        names = text.split(",")
        if not {*names} <= {*known}:
            raise argparse.ArgumentTypeError(f"not among {', '.join(known)}")
        return names

    return read


def _prepare() -> None:
    """Make the cache, which git need not know, and allow as many descriptors as there may be."""
    CACHE.mkdir(exist_ok=True)
    (CACHE / ".gitignore").write_text("*\n")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Missing as missing:
        sys.exit(f"A server {missing}")
