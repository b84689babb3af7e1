"""The faults of the simulator: suffixes of a model's name, or of the key that lists the models.

`gpt-4o@status-429@retry-7` is the model `gpt-4o` with two faults. The table below has all faults: suffixes are parsed
with it, and `--help` prints it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

Faults = Mapping[str, float]
"""The faults of one request by name, each with its argument; 0 where it takes none."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the table. `default` is the argument if it is left out; None if it is required."""

    name: str
    description: str
    argument: str = ""
    default: float | None = 0


class UnknownFaultError(ValueError):
    """A suffix that is not in the table, or has a wrong argument."""


TABLE = (
    Fault("status", "the provider's own error body for that status, 200 to 599", "NNN", None),
    Fault("retry", "adds Retry-After: S to the answer", "S", 1),
    Fault("html", "a page of HTML instead of JSON: the error's with status, else under 200"),
    Fault("empty", "no body at all, under 200 or the status"),
    Fault("quota", "429: the account has no money left"),
    Fault("context", "the conversation is longer than the model's context"),
    Fault("filter-prompt", "400: the content filter refuses the prompt"),
    Fault("echo-key", "400: the message contains the whole key that was sent"),
    Fault("redirect", "307 to another path of the simulator, where the same request is answered"),
    Fault("slow", "the first event comes S seconds after the headers", "S", 1),
    Fault("late", "the headers come after S seconds", "S", 1),
    Fault("silent", "headers, then nothing; the connection stays open"),
    Fault("hang", "no headers, ever"),
    Fault("comments", "headers, then the comment `: ping` every 50 ms, for ever"),
    Fault("pace", "MS milliseconds between two events", "MS", 10),
    Fault("events", "an answer of exactly N words, an event each", "N", 100),
    Fault("endless", "words for ever, every 10 ms or at the pace"),
    Fault("reasoning", "reasoning before the answer, in the dialect's own form"),
    Fault("emoji", "an answer of emoji, each split over two events as a surrogate pair"),
    Fault("length", "finish_reason length"),
    Fault("filtered", "finish_reason content_filter"),
    Fault("nousage", "no usage, also where it was asked or is usual"),
    Fault("json", "one whole JSON completion, though a stream was asked"),
    Fault("bytewise", "every byte of the body an HTTP chunk and a TCP segment of its own"),
    Fault("crlf", "the lines of the events end in CRLF"),
    Fault("stall", "N words, then silence; the connection stays open", "N", 3),
    Fault("cut", "N words, then the connection closes without the last chunk", "N", 3),
    Fault("reset", "N words, then a TCP reset", "N", 3),
    Fault("truncated", "N words, then a clean end, no finish_reason and no [DONE]", "N", 3),
    Fault("nodone", "finish_reason, but no [DONE]"),
    Fault("error", "N words, then an error in the stream, in the dialect's form", "N", 3),
    Fault("badjson", "after N words one line of broken JSON, then the rest", "N", 3),
    Fault("badutf8", "after N words one event of broken UTF-8, then the rest", "N", 3),
)

_BY_NAME = MappingProxyType({fault.name: fault for fault in TABLE})
_DECIMAL = r"\d{1,6}(\.\d{1,6})?"
_ARGUMENTS = MappingProxyType({"NNN": r"[2-5]\d\d", "N": r"\d{1,6}", "S": _DECIMAL, "MS": _DECIMAL})


def parse(model: str) -> tuple[str, Faults]:
    """Split a model's name into the name before its faults and the faults.

    Raises `UnknownFaultError`, whose text names the suffix and says what is wrong with it.
    """
    base, *suffixes = model.split("@")
    return base, dict(map(_parse_one, suffixes))


def table() -> str:
    """Return the faults as lines of text: name, argument, what it does."""
    return "\n".join(f"  {_usage(fault):<16}{fault.description}" for fault in TABLE)


def _usage(fault: Fault) -> str:
    if fault.default is None:
        return f"{fault.name}-{fault.argument}"
    return f"{fault.name}[-{fault.argument}]" if fault.argument else fault.name


def _parse_one(suffix: str) -> tuple[str, float]:
    fault = _BY_NAME.get(suffix)
    if fault is not None and fault.default is not None:
        return suffix, fault.default
    name, _, argument = suffix.rpartition("-")
    fault = fault or _BY_NAME.get(name)
    if fault is None:
        raise UnknownFaultError(f"Unknown fault '{suffix}'.")
    if not re.fullmatch(_ARGUMENTS.get(fault.argument, "(?!)"), argument, re.ASCII):
        raise UnknownFaultError(f"The fault '{suffix}' should be '{_usage(fault)}'.")
    return name, float(argument)
