"""What a provider's words mean: why an answer ended, and which members of a chunk tell of an error."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from .sentence import plainly_named

FAILED = "error"
"""The reason of an answer that did not end but failed."""
FILTERED = "content_filter"
LENGTH = "length"

_MEANINGS = (
    (
        FILTERED,
        re.compile(
            r"filter|(?<!in)sensitive|safety|unsafe|refus|recitation|copyright|prohibit|block(?:list|ed)|spii|guardrail"
            r"|moderat|flagged|model_armor|policy|(?<!non_)toxic|censor|harmful"
        ),
    ),
    (LENGTH, re.compile(r"length|max\w*token|(?:token|time|error)s?_limit|context_window|truncat|incomplete")),
    (
        FAILED,
        re.compile(
            r"error|fail|abort|cancel|time_?d?_?out|insufficient|exception|overload|unavailable|interrupt|rate_limit"
            r"|killed|preempt|crash|connect|deadline|memory|throttl|too_many|busy|internal|evict|shutdown|gateway"
            r"|\A5\d\d\Z"
        ),
    ),
)
"""How providers call a content filter, the limit of a length, and a failure; the first that is found counts."""
_NO_REASON = {"null", "none", "nil", "undefined", "not_finished", "unspecified", "finish_reason_unspecified"}
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_GAP = re.compile(r"[^a-z0-9]+")

# Names of members as `plainly_named` has them.

_ERROR_CODES = ("errorcode", "errcode", "errno")
_ERROR_SENTENCES = ("errormessage", "errormsg", "errmessage", "errmsg")
_ERRORS = (
    *("error", "errors", "err", "exception", "errortype", "errordetail", "errorinfo"),
    *(*_ERROR_CODES, *_ERROR_SENTENCES),
)
"""Members that only an error has, unless they are empty."""
_INNER_ERRORS = ("error", "errors", "errorcode", "errormessage", "errormsg")
"""Those of them that are looked for in a choice, its delta and its message."""
_CODES = ("code", "statuscode")
_KINDS = ("object", "type", "status")
"""Members that say `error` where an object of another kind would say its own name."""
SENTENCES = ("message", "msg", "statusmsg", "detail")
_WRAPPER = re.compile("x_|base_resp$")
"""Members of a chunk in which the same members may be, as in `x_groq` and `base_resp`."""
NAMES = frozenset({*_ERRORS, *_CODES, *_KINDS, *SENTENCES, "success", "baseresp", "xgroq"})
"""All that is looked at to find an error in a large chunk."""

_NOTHING = Literal[0, "", "0"] | None
_SUCCESS = Literal[0, 200, "", "0", "200"] | None
_KIND = Literal["", "chat.completion.chunk", "chat.completion", "chat.completion.done", "text_completion"] | None
_INNER_SPELLINGS = ("error", "errors", "error_code", "error_message", "error_msg")
_SPELLINGS = (
    *(*_INNER_SPELLINGS, "err", "err_code", "err_msg", "errno", "errcode", "errmsg", "error_type", "error_detail"),
    *("Error", "errorCode", "errorMessage", "errorMsg", "errorType", "exception", "detail", "x_groq", "base_resp"),
)
PLAIN_INNER = tuple((name, _NOTHING, None) for name in _INNER_SPELLINGS)
PLAIN = (
    *((name, _NOTHING, None) for name in _SPELLINGS),
    *((name, _SUCCESS, None) for name in ("code", "status_code", "status")),
    *((name, _KIND, None) for name in ("object", "type")),
)
"""As they are mostly spelt, with their harmless values, as fields of a plain chunk; any other value makes it none."""

_HARMLESS = {"", "0", "200", "false", "none", "null", "no_error", "no error"}
_WELL = re.compile(r"(?!.*\b(?:not|no|un\w+|without)\b)(?:\w+ ){0,2}(?:ok|success\w*|succeeded|成功|完成)", re.ASCII)
"""A word or a sentence that says "no error" where an error's would stand."""
_WELL_SAID = re.compile(
    r"\b(?:success\w*|succeeded|completed|processed|done|no errors?)\b|(?:成功|完成|正常)", re.ASCII
)
_ILL_SAID = re.compile(
    r"\b(?:not|un\w+|without|fail\w*|cannot|but|before|time\w*|partial\w*|denied|(?<!no )errors?)\b"
    r"|[不未没]|失败|错误|异常",
    re.ASCII,
)
"""What a sentence has beside a code of its provider's own if that means success, and what if not."""
_FAILURE_KINDS = {"error", "failed", "failure"}
_MAX_DEPTH = 5


def ending(reason: str, native_reason: str = "") -> str:
    """Return why an answer ended: `error`, `content_filter`, `length`, the reason by its own name, or "" for none.

    A native reason is that of the provider behind an aggregator: it tells what the aggregator's hides.
    """
    ours, native = _meaning(reason), _meaning(native_reason)
    if FAILED in {ours, native} or not ours:
        return FAILED if FAILED in {ours, native} else ""
    return next((meaning for meaning in (FILTERED, LENGTH) if meaning in {ours, native}), ours)


def _meaning(reason: str) -> str:
    word = _GAP.sub("_", _HUMP.sub("_", reason[:200]).lower()).strip("_")
    if word in _NO_REASON or not reason.strip():
        return ""
    return next((meaning for meaning, names in _MEANINGS if names.search(word)), reason)


def error_in(body: Mapping[str, Any], choice: Mapping[str, Any], *, is_answer: bool, is_text: bool) -> object:
    """Return what a chunk says went wrong, None if nothing did; an empty error beside an answer is none.

    `is_answer` means that the chunk has a choice or a usage, `is_text` that the choice says something.
    """
    wrapped = [plainly_named(members(value)) for name, value in body.items() if _WRAPPER.match(name)]
    inside = map(plainly_named, (choice, members(choice.get("delta")), members(choice.get("message"))))
    inner = [{name: place.get(name) for name in _INNER_ERRORS} for place in inside]
    body = plainly_named(body)
    places: list[Mapping[str, Any]] = [body, *wrapped, *inner]
    for place in places:
        if _is_error(place, is_answer=is_answer):
            return _complaint(place)
    if body.get("error") == {} and not is_answer:
        return {}
    if any(isinstance(kind := body.get(name), str) and kind.lower() in _FAILURE_KINDS for name in _KINDS):
        return {"message": _complaint(body)["message"]}
    if not is_answer and not is_harmless(body.get("detail")):
        return _complaint(body)
    for place in (*wrapped, body):
        if _has_failure_code(place, is_text=is_text and place is body):
            return _complaint(place)
    return None


def is_harmless(value: object, depth: int = _MAX_DEPTH) -> bool:
    """Tell whether a value says "no error", as all that is in it does."""
    if not value:
        return True
    if isinstance(value, list | dict):
        inside: Iterable[object] = value.values() if isinstance(value, dict) else value
        return depth > 0 and all(is_harmless(item, depth - 1) for item in inside)
    word = str(value)[:100].strip().rstrip(".!。").lower() if isinstance(value, str | int) else "?"
    return word in _HARMLESS or bool(_WELL.fullmatch(word))


def members(value: object) -> dict[str, Any]:
    """Return an object's members, none of anything else."""
    return value if isinstance(value, dict) else {}


def _is_error(place: Mapping[str, Any], *, is_answer: bool) -> bool:
    """Tell whether there is a member of an error; beside an answer, a code for success takes back a mere sentence."""
    found = [name for name in _ERRORS if place.get(name) is not None and not is_harmless(place[name])]
    is_well = any(place.get(name) is not None and is_harmless(place[name]) for name in (*_ERROR_CODES, *_CODES))
    return bool(found) and not (is_answer and is_well and set(found) <= {*_ERROR_SENTENCES})


def _has_failure_code(place: Mapping[str, Any], *, is_text: bool) -> bool:
    """Tell whether there is a code that means failure, with a sentence.

    Beside text, only a status of HTTP's is one: what others mean is not known.
    """
    sentence = _sentence(place, SENTENCES)
    if not sentence:
        return False
    codes = [str(code) for name in _CODES if isinstance(code := place.get(name), str | int) and not is_harmless(code)]
    if place.get("success") is False or any(map(_is_failed_status, [*codes, str(place.get("status"))])):
        return True
    return bool(codes) and not is_text and not _is_well_said(sentence)


def _is_well_said(sentence: object) -> bool:
    said = str(sentence)[:200].lower()
    return bool(_WELL_SAID.search(said)) and not _ILL_SAID.search(said)


def _is_failed_status(code: str) -> bool:
    return bool(re.fullmatch(r"[45]\d\d", code, re.ASCII))


def _complaint(place: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON is anything
    """Return the error object, or one made of the code and the sentence that stand in its place."""
    for error in (place.get("error"), place.get("errors")):
        if isinstance(error, dict | list) and not is_harmless(error):
            return error
    code = next(filter(None, map(place.get, (*_ERROR_CODES, *_CODES, "status"))), None)
    return {"message": _sentence(place, (*_ERROR_SENTENCES, *SENTENCES, *_ERRORS)), "code": code}


def _sentence(place: Mapping[str, Any], names: tuple[str, ...]) -> object:
    """Return the first sentence under these names, or what may have one inside."""
    found = [place[name] for name in names if isinstance(place.get(name), str | list | dict)]
    return next((sentence for sentence in found if not is_harmless(sentence)), None)
