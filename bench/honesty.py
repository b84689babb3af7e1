"""What each server tells its client when the provider ends an answer too early."""

from pathlib import Path

from bench import machine, report
from bench.answers import Ending, Spec
from bench.load import Job, Load, Reply
from bench.rivals import KINDS
from bench.servers import Kind, Missing, Place, Running, free_port, running, upstream
from bench.table import markdown

TIMES = 3
SUCCESS = "reports success"
_EVENTS, _PACE = 20, 20
_CASES: dict[Ending, str] = {
    "whole": "sends a whole answer",
    "unfinished": "ends without a finish reason",
    "reset": "resets the connection",
}
_HOW = f"""\
Each server is asked {TIMES} times for {_EVENTS} words, {_PACE} ms apart. A provider that ends without a finish reason
ends its HTTP body as HTTP ends it, after the last word and without `[DONE]`; a reset is TCP's, after the last word and
within the body. A client is told of success by the end mark of its protocol, which in plain text is the end of the
body; of an error by a status, an error event, or a sentence in the text. "Just ends": a body that ends with neither."""


def honesty(names: list[str], folder: Path) -> int:
    """Ask each server, and write the part of the page; return the exit status: 1 if Sluice takes a cut for an end."""
    rows, facts = [["the provider ...", *_CASES.values()]], [*machine.describe()]
    with upstream(folder) as port:
        for kind in map(KINDS.__getitem__, names):
            print(f"Honesty: {kind.name} ...", flush=True)
            try:
                version = kind.install()
                with running(kind, Place(folder, free_port(), port)) as server:
                    rows.append([kind.name, *(tell(server, ending) for ending in _CASES)])
            except Missing as missing:
                facts.append(f"{kind.name} is not in the table: it {missing}.")
            else:
                facts.append(f"{kind.name}: {version}; {kind.about}")
    told = "\n".join(f"- {fact}" for fact in facts)
    report.finish("honesty", f"{told}\n\n{markdown(rows)}\n\n{_HOW}", whole=names == [*KINDS])
    return 1 if any(name.startswith("sluice") and SUCCESS in " ".join(cut) for name, _, *cut in rows) else 0


def tell(server: Running, ending: Ending) -> str:
    """Ask for an answer that ends in a way; say what the client is told."""
    load, told = Load(server.port), set[str]()
    request = server.kind.request(Spec(_EVENTS, _PACE, ending=ending))
    for _ in range(TIMES):
        load.add(iter([Job(request)]), lambda _, reply: told.add(judge(server.kind, reply)))
    load.run()
    return " / ".join(sorted(told))


def judge(kind: Kind, reply: Reply) -> str:
    """Say what a reply tells its client."""
    _, ended, failed = kind.read(reply)
    words = []
    if failed or reply.status >= 400:
        words.append("reports an error")
    elif ended:
        words.append(SUCCESS)
    if not reply.clean:
        words.append("cuts the connection")
    return " and ".join(words) or "just ends"
