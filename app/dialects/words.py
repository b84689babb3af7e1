"""The vocabulary of providers: their finish reasons, and the members of a chunk that report an error."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from .sentence import normalised

FAILED = "error"
"""The finish reason of an answer that failed."""
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
"""The names that providers use for a content filter, a length limit, and a failure; the first match counts."""
_NO_REASON = {"null", "none", "nil", "undefined", "not_finished", "unspecified", "finish_reason_unspecified"}
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_GAP = re.compile(r"[^a-z0-9]+")

# Names of members, as `normalised` returns them.

_ERROR_CODES = ("errorcode", "errcode", "errno")
_ERROR_SENTENCES = ("errormessage", "errormsg", "errmessage", "errmsg")
_ERRORS = (
    *("error", "errors", "err", "exception", "errortype", "errordetail", "errorinfo"),
    *(*_ERROR_CODES, *_ERROR_SENTENCES),
)
"""Members that mean an error, unless they are empty."""
_INNER_ERRORS = ("error", "errors", "errorcode", "errormessage", "errormsg")
"""The ones that are searched for in a choice, its delta and its message."""
_CODES = ("code", "statuscode")
_KINDS = ("object", "type", "status")
"""Members that have the kind of an object; it may be `error`."""
SENTENCES = ("message", "msg", "statusmsg", "detail")
_WRAPPER = re.compile("x_|base_resp$")
"""Members of a chunk that may wrap an error, such as `x_groq` and `base_resp`."""
NAMES = frozenset({*_ERRORS, *_CODES, *_KINDS, *SENTENCES, "success", "baseresp", "xgroq"})
"""All members that are read to find an error in a large chunk."""

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
"""The usual spellings of these members, with their harmless values, as fields of a plain chunk. With any other value,
a chunk is not plain."""

_HARMLESS = {"", "0", "200", "false", "none", "null", "no_error", "no error"}
_SUCCESS_ONLY = re.compile(
    r"(?!.*\b(?:not|no|un\w+|without)\b)(?:\w+ ){0,2}(?:ok|success\w*|succeeded|成功|完成)", re.ASCII
)
"""A word or a sentence that means "no error" in the place of an error."""
_SUCCESS_WORDS = re.compile(
    r"\b(?:success\w*|succeeded|completed|processed|done|no errors?)\b|(?:成功|完成|正常)", re.ASCII
)
_FAILURE_WORDS = re.compile(
    r"\b(?:not|un\w+|without|fail\w*|cannot|but|before|time\w*|partial\w*|denied|(?<!no )errors?)\b"
    r"|[不未没]|失败|错误|异常",
    re.ASCII,
)
"""Words in a sentence that mean success, and words that mean failure, for codes that are a provider's own."""
_FAILURE_KINDS = {"error", "failed", "failure"}
_MAX_DEPTH = 5


def ending(reason: str, native_reason: str = "") -> str:
    """Return the finish reason: `error`, `content_filter`, `length`, any other by its own name, or "" without one.

    The native reason is that of the provider behind an aggregator, and more exact than the aggregator's.
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
    """Return the error that a chunk reports, or None. Beside an answer, an empty error is ignored.

    `is_answer` means that the chunk has a choice or a usage, `is_text` that the choice has text or reasoning.
    """
    wrapped = [normalised(members(value)) for name, value in body.items() if _WRAPPER.match(name)]
    inside = map(normalised, (choice, members(choice.get("delta")), members(choice.get("message"))))
    inner = [{name: place.get(name) for name in _INNER_ERRORS} for place in inside]
    body = normalised(body)
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
    """Tell whether a value, with all its inner values, means "no error"."""
    if not value:
        return True
    if isinstance(value, list | dict):
        inside: Iterable[object] = value.values() if isinstance(value, dict) else value
        return depth > 0 and all(is_harmless(item, depth - 1) for item in inside)
    word = str(value)[:100].strip().rstrip(".!。").lower() if isinstance(value, str | int) else "?"
    return word in _HARMLESS or bool(_SUCCESS_ONLY.fullmatch(word))


def members(value: object) -> dict[str, Any]:
    """Return the members of an object; empty for any other value."""
    return value if isinstance(value, dict) else {}


def _is_error(place: Mapping[str, Any], *, is_answer: bool) -> bool:
    """Tell whether an object has a member of an error. Beside an answer, a success code outweighs a mere sentence."""
    found = [name for name in _ERRORS if place.get(name) is not None and not is_harmless(place[name])]
    has_success_code = any(
        place.get(name) is not None and is_harmless(place[name]) for name in (*_ERROR_CODES, *_CODES)
    )
    return bool(found) and not (is_answer and has_success_code and set(found) <= {*_ERROR_SENTENCES})


def _has_failure_code(place: Mapping[str, Any], *, is_text: bool) -> bool:
    """Tell whether an object has a sentence, and a code that means failure.

    Beside text, only an HTTP status counts: the meaning of other codes is not known.
    """
    sentence = _sentence(place, SENTENCES)
    if not sentence:
        return False
    codes = [str(code) for name in _CODES if isinstance(code := place.get(name), str | int) and not is_harmless(code)]
    if place.get("success") is False or any(map(_is_failed_status, [*codes, str(place.get("status"))])):
        return True
    return bool(codes) and not is_text and not _means_success(sentence)


def _means_success(sentence: object) -> bool:
    said = str(sentence)[:200].lower()
    return bool(_SUCCESS_WORDS.search(said)) and not _FAILURE_WORDS.search(said)


def _is_failed_status(code: str) -> bool:
    return bool(re.fullmatch(r"[45]\d\d", code, re.ASCII))


def _complaint(place: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON is anything
    """Return the error object, or make one of the code and the sentence."""
    for error in (place.get("error"), place.get("errors")):
        if isinstance(error, dict | list) and not is_harmless(error):
            return error
    code = next(filter(None, map(place.get, (*_ERROR_CODES, *_CODES, "status"))), None)
    return {"message": _sentence(place, (*_ERROR_SENTENCES, *SENTENCES, *_ERRORS)), "code": code}


def _sentence(place: Mapping[str, Any], names: tuple[str, ...]) -> object:
    """Return the first value under these names that is not harmless: a sentence, or a list or object with one."""
    found = [place[name] for name in names if isinstance(place.get(name), str | list | dict)]
    return next((sentence for sentence in found if not is_harmless(sentence)), None)
